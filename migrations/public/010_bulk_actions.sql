-- What operators do to many runs at once, and who did what. No tenant's role is granted anything here.

-- A replay or a cancel of many runs: previewed first, then confirmed, for exactly the runs that were previewed.
CREATE TABLE public.platform_bulk_actions (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('replay', 'cancel')),
  state text NOT NULL DEFAULT 'previewed' CHECK (state IN ('previewed', 'running', 'completed', 'stopped')),
  -- How the runs were selected, for people to read: { "filter": ... } or { "runIds": how many }.
  selection jsonb NOT NULL,
  -- Of a replay: { "payload": ... }, { "patch": ... }, or null for the payloads as they were.
  edit jsonb,
  -- Whose runs they are; who may not see one of these tenants sees nothing of it.
  tenant_ids text[] NOT NULL,
  total int NOT NULL,
  completed_later int NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by jsonb NOT NULL,
  -- A preview that nobody has confirmed by then cannot be confirmed any more.
  expires_at timestamptz NOT NULL,
  confirmed_at timestamptz,
  confirmed_by jsonb,
  reason text,
  per_second int,
  next_step_at timestamptz,
  finished_at timestamptz
);

-- For whoever does the next step; for lists; for deleting what nobody has confirmed, and what ended long ago.
CREATE INDEX platform_bulk_actions_running ON public.platform_bulk_actions (next_step_at) WHERE state = 'running';
CREATE INDEX platform_bulk_actions_created_at ON public.platform_bulk_actions (created_at, id);
CREATE INDEX platform_bulk_actions_previewed ON public.platform_bulk_actions (created_at) WHERE state = 'previewed';
CREATE INDEX platform_bulk_actions_finished ON public.platform_bulk_actions (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE public.platform_bulk_action_runs (
  action_id uuid NOT NULL REFERENCES public.platform_bulk_actions ON DELETE CASCADE,
  number int NOT NULL,
  run_id uuid NOT NULL,
  task_id text NOT NULL,
  tenant_id text NOT NULL,
  -- Of a replay: the id of the new run, chosen here, so that it exists once however often a step is repeated.
  new_run_id uuid,
  state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'refused', 'skipped')),
  -- Why it was refused or skipped.
  problem text,
  PRIMARY KEY (action_id, number)
);

CREATE INDEX platform_bulk_action_runs_waiting ON public.platform_bulk_action_runs (action_id, number) WHERE state = 'waiting';
-- For deleting a tenant, in the order in which a step locks them.
CREATE INDEX platform_bulk_action_runs_tenant ON public.platform_bulk_action_runs (tenant_id, action_id, number);

-- Who did what to which tenant, and why. Rows are only ever added.
CREATE TABLE public.platform_audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT now(),
  -- { "kind": "user" | "key" | "cli" | "app", "id": ..., "name": ... }
  actor jsonb NOT NULL,
  -- What was done: run.replay, credential.set, ...
  action text NOT NULL,
  -- Whose it was; null for what belongs to no tenant or to several.
  tenant_id text,
  -- What it was done to: the id of a run, a service, the id of a bulk action.
  subject text,
  reason text,
  details jsonb NOT NULL DEFAULT '{}'
);

CREATE INDEX platform_audit_tenant ON public.platform_audit (tenant_id, id);
CREATE INDEX platform_audit_action ON public.platform_audit (action, id);
