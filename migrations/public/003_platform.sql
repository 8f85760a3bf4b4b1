-- What the platform keeps itself. Queued and running work lives in pg-boss's own tables and nowhere else;
-- these hold what pg-boss forgets. No tenant's role is granted anything here.

-- Failed and lost attempts, one row each. The run's row in pg-boss only knows its latest attempt.
CREATE TABLE public.platform_attempts (
  run_id uuid NOT NULL,
  attempt int NOT NULL,
  task_id text NOT NULL,
  tenant_id text NOT NULL,
  result text NOT NULL CHECK (result IN ('retry', 'failed', 'lost')),
  error jsonb NOT NULL,
  started_at timestamptz NOT NULL,
  finished_at timestamptz NOT NULL DEFAULT now(),
  worker text NOT NULL,
  PRIMARY KEY (run_id, attempt)
);

-- For deleting what is past its retention, and a tenant's rows with the tenant.
CREATE INDEX platform_attempts_finished_at ON public.platform_attempts (finished_at);
CREATE INDEX platform_attempts_tenant ON public.platform_attempts (tenant_id, finished_at);

-- Which run answers an idempotency key. The key is scoped to tenant and task, and stored as a hash: it is the
-- caller's text and may be long.
CREATE TABLE public.platform_idempotency_keys (
  tenant_id text NOT NULL,
  task_id text NOT NULL,
  key_hash bytea NOT NULL,
  run_id uuid NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, task_id, key_hash)
);

CREATE INDEX platform_idempotency_keys_expires_at ON public.platform_idempotency_keys (expires_at);
