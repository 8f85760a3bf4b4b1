-- What runs write while they run, and what tenants keep in their caches. No tenant's role is granted anything here.

-- How far the log of a run has come, those lines included that were not kept; a run that wrote none has no row.
CREATE TABLE public.platform_run_log_heads (
  run_id uuid PRIMARY KEY,
  tenant_id text NOT NULL,
  -- Of the last line. Lines count from 1.
  seq bigint NOT NULL,
  -- Characters of all lines.
  size bigint NOT NULL,
  -- The last flush: one that is sent again after a lost answer changes nothing.
  flush uuid NOT NULL
) WITH (fillfactor = 80);

-- For deleting a tenant's rows with the tenant.
CREATE INDEX platform_run_log_heads_tenant ON public.platform_run_log_heads (tenant_id);

-- The newest lines of a run. A gap in seq: lines that were not kept.
CREATE TABLE public.platform_run_logs (
  run_id uuid NOT NULL,
  seq bigint NOT NULL,
  tenant_id text NOT NULL,
  attempt int NOT NULL,
  -- pino's: 30 is info.
  level smallint NOT NULL,
  at timestamptz NOT NULL,
  message text NOT NULL,
  fields jsonb NOT NULL,
  -- Characters of the run's lines up to and with this one.
  size bigint NOT NULL,
  PRIMARY KEY (run_id, seq)
);

-- The latest progress that a run has told of.
CREATE TABLE public.platform_run_progress (
  run_id uuid PRIMARY KEY,
  tenant_id text NOT NULL,
  attempt int NOT NULL,
  fraction float8,
  current float8,
  total float8,
  message text,
  at timestamptz NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX platform_run_progress_tenant ON public.platform_run_progress (tenant_id);

-- The caches of tenants where there is no Redis. Unlogged: a crash may empty it, for it is a cache.
CREATE UNLOGGED TABLE public.platform_cache (
  tenant_id text NOT NULL,
  key text NOT NULL,
  -- JSON as text: jsonb would refuse NUL characters and lone surrogates.
  value text NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, key)
);

CREATE INDEX platform_cache_expires_at ON public.platform_cache (expires_at);
