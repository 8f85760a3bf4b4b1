-- Runs on Trigger.dev: those that it has yet to be given, and its own id of those that it has. Written only where the
-- engine is Trigger.dev, which stays the truth about every run it has.

CREATE TABLE public.platform_trigger_runs (
  run_id uuid PRIMARY KEY,
  tenant_id text NOT NULL,
  task_id text NOT NULL,
  -- Trigger.dev's. NULL: it has not got the run, or has got it in a batch and not told its id.
  trigger_id text,
  -- What it is asked for; without the payload once a batch was accepted, NULL once its id is known.
  request jsonb,
  -- Why it does not take the run. Nobody asks again.
  refused jsonb,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  tries int NOT NULL DEFAULT 0,
  -- When somebody is to give it to Trigger.dev. NULL: it has it, or has refused it.
  next_try_at timestamptz,
  sent_at timestamptz
);

-- For whoever gives runs to Trigger.dev; empty as long as that answers.
CREATE INDEX platform_trigger_runs_due ON public.platform_trigger_runs (next_try_at) WHERE next_try_at IS NOT NULL;
-- For deleting what is old, and a tenant's rows with the tenant.
CREATE INDEX platform_trigger_runs_created_at ON public.platform_trigger_runs (created_at);
CREATE INDEX platform_trigger_runs_tenant ON public.platform_trigger_runs (tenant_id, created_at);
