-- Runs that have ended, what they failed with, and how many there were. An open run is a job of the queue and nowhere
-- else; the statement that ends it moves it here. No tenant's role is granted anything here.

CREATE TABLE public.platform_runs (
  id uuid PRIMARY KEY,
  task_id text NOT NULL,
  tenant_id text NOT NULL,
  state text NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled', 'expired')),
  -- The caller's input, as it was accepted.
  payload jsonb,
  output jsonb,
  error jsonb,
  error_code text GENERATED ALWAYS AS (error->>'code') STORED,
  -- Of what it failed with: platform_failure_groups.
  fingerprint text,
  tags text[],
  priority int NOT NULL,
  -- The last one that ran; 0 if none did.
  attempt int NOT NULL,
  max_attempts int NOT NULL,
  triggered_by text NOT NULL CHECK (triggered_by IN ('app', 'schedule', 'replay', 'run')),
  -- Who or what of that kind: a schedule, a replay, a run, or whom the app names.
  triggered_ref text,
  parent_run_id text,
  replay_of text,
  idempotency_key text,
  -- Of the span that triggered it, as W3C writes it.
  traceparent text,
  created_at timestamptz NOT NULL,
  run_at timestamptz NOT NULL,
  started_at timestamptz,
  finished_at timestamptz NOT NULL DEFAULT now(),
  -- Of the last attempt. NULL: it ended while no worker had it.
  worker text,
  -- By service, the version of the credential that the last attempt worked with.
  credentials jsonb,
  engine text NOT NULL
);

-- Every run pays for every index, so these three are all that a plain one is in.
--
-- A stripe is what has the same task, state and kind of trigger (and tenant). There are few of them, an index scan steps
-- from one to the next, and each is read newest first and no deeper than a page: so a page costs the same whatever the
-- filter leaves out, and a rare state of a busy task is as near as a common one. The oldest end is what retention reads.
CREATE INDEX platform_runs_stripe ON public.platform_runs
  (task_id, state, triggered_by, created_at DESC, id DESC);
CREATE INDEX platform_runs_tenant_stripe ON public.platform_runs
  (tenant_id, task_id, state, triggered_by, created_at DESC, id DESC);

-- Only in these: runs that failed, runs that something other than an app has triggered, replays.
CREATE INDEX platform_runs_fingerprint ON public.platform_runs (fingerprint, created_at DESC, id DESC)
  WHERE fingerprint IS NOT NULL;
CREATE INDEX platform_runs_tenant_fingerprint ON public.platform_runs
  (tenant_id, fingerprint, created_at DESC, id DESC) WHERE fingerprint IS NOT NULL;
CREATE INDEX platform_runs_triggered_ref ON public.platform_runs
  (triggered_ref, state, created_at DESC, id DESC) WHERE triggered_ref IS NOT NULL;
CREATE INDEX platform_runs_replay_of ON public.platform_runs (replay_of, created_at DESC, id DESC)
  WHERE replay_of IS NOT NULL;

-- Text in errors. pg_trgm comes with Postgres and may be created by whoever may create schemas; where a server lacks
-- it, such a search reads the failed runs of the tasks it asks about, newest first.
DO $$
DECLARE
  operators text;
BEGIN
  CREATE EXTENSION IF NOT EXISTS pg_trgm;
  SELECT quote_ident(nspname) || '.gin_trgm_ops' INTO operators
    FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm';
  EXECUTE 'CREATE INDEX platform_runs_error_text ON public.platform_runs USING gin ((error->>''message'') '
    || operators || ') WHERE state = ''failed''';
EXCEPTION WHEN undefined_file OR feature_not_supported OR insufficient_privilege THEN
  RAISE NOTICE 'pg_trgm cannot be created here: searching errors for a text is slower without it';
END $$;

-- One row for each tag of a run. An index over arrays finds the runs of a tag but not the newest of them.
CREATE TABLE public.platform_run_tags (
  tag text NOT NULL,
  tenant_id text NOT NULL,
  task_id text NOT NULL,
  state text NOT NULL,
  created_at timestamptz NOT NULL,
  run_id uuid NOT NULL
);

-- Of another task is told without a look at the run.
CREATE INDEX platform_run_tags_tag ON public.platform_run_tags
  (tag, state, created_at DESC, run_id DESC) INCLUDE (task_id);
CREATE INDEX platform_run_tags_tenant ON public.platform_run_tags
  (tenant_id, tag, state, created_at DESC, run_id DESC) INCLUDE (task_id);

-- How many runs ended in an hour. Whatever ends runs adds rows and changes none, so nobody waits for anybody; upkeep
-- adds up what belongs together. To be read with sum(runs).
CREATE TABLE public.platform_run_counts (
  hour timestamptz NOT NULL,
  task_id text NOT NULL,
  tenant_id text NOT NULL,
  state text NOT NULL,
  runs bigint NOT NULL
);

CREATE INDEX platform_run_counts_hour ON public.platform_run_counts (hour);

-- Failed attempts that are alike. Whether a group is open follows from its marks and from when it was seen last, so an
-- attempt that fails writes to no row that others write to as well.
CREATE TABLE public.platform_failure_groups (
  fingerprint text PRIMARY KEY,
  task_id text NOT NULL,
  error_name text NOT NULL,
  error_code text,
  -- Without what differs from one to the next; each tenant's own words are in platform_failure_counts.
  message text NOT NULL,
  -- The first stack frame that is the app's own.
  frame text,
  first_seen_at timestamptz NOT NULL DEFAULT now()
);

-- What people have done about a group: for one tenant, or for all that were in it by then. The last one counts.
CREATE TABLE public.platform_failure_marks (
  fingerprint text NOT NULL REFERENCES public.platform_failure_groups ON DELETE CASCADE,
  -- NULL: for all of them.
  tenant_id text,
  marked_at timestamptz NOT NULL DEFAULT now(),
  -- Both NULL: it was reopened.
  resolved_at timestamptz,
  ignored_until timestamptz,
  UNIQUE NULLS NOT DISTINCT (fingerprint, tenant_id)
);

CREATE INDEX platform_failure_marks_tenant ON public.platform_failure_marks (tenant_id);

-- How often, in an hour and for a tenant. Rows are added and added up like those of platform_run_counts.
CREATE TABLE public.platform_failure_counts (
  fingerprint text NOT NULL,
  -- '-infinity': all before what is kept by the hour.
  hour timestamptz NOT NULL,
  tenant_id text NOT NULL,
  failures bigint NOT NULL,
  first_at timestamptz NOT NULL,
  last_at timestamptz NOT NULL,
  -- The last of them, in words and as the run to look at.
  message text NOT NULL,
  run_id uuid NOT NULL
);

CREATE INDEX platform_failure_counts_group ON public.platform_failure_counts (fingerprint, hour);
CREATE INDEX platform_failure_counts_hour ON public.platform_failure_counts (hour);
CREATE INDEX platform_failure_counts_tenant ON public.platform_failure_counts (tenant_id, fingerprint);

-- Which group a failed attempt is in.
ALTER TABLE public.platform_attempts ADD COLUMN fingerprint text;
