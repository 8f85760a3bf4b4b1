-- Schedules: what tenants have otherwise than the task says, how far each is planned, and the ticks being handed out.

-- Since when a tenant takes ticks: one that is created, or resumed, gets none of the time before.
ALTER TABLE public.organizations ADD COLUMN active_since timestamptz NOT NULL DEFAULT now();

CREATE FUNCTION public.note_activation() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.active_since := pg_catalog.now();
  RETURN NEW;
END;
$$;

CREATE TRIGGER set_active_since BEFORE UPDATE ON public.organizations
  FOR EACH ROW WHEN (NEW.status = 'active' AND OLD.status <> 'active') EXECUTE FUNCTION public.note_activation();

-- The time zones that are in use, each found with one probe.
CREATE INDEX organizations_active_timezone ON public.organizations (timezone) WHERE status = 'active';

-- One row for each schedule that a tenant has otherwise, or besides (extra), what its task says. NULL: as the task says.
CREATE TABLE public.platform_schedules (
  tenant_id text NOT NULL REFERENCES public.organizations (slug) ON UPDATE CASCADE ON DELETE CASCADE,
  task_id text NOT NULL,
  key text NOT NULL,
  extra boolean NOT NULL,
  cron text,
  -- IANA name, or 'tenant'.
  timezone text,
  -- Without tenantId.
  payload jsonb,
  paused_at timestamptz,
  -- Ticks of the time before are none of this row's.
  changed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, task_id, key),
  CHECK (NOT extra OR (cron IS NOT NULL AND timezone IS NOT NULL))
);

CREATE INDEX platform_schedules_task ON public.platform_schedules (task_id, key);

-- One row for each schedule: every time up to planned_until has its ticks, or was decided to have none.
CREATE TABLE public.platform_schedule_progress (
  task_id text NOT NULL,
  key text NOT NULL,
  -- What the task said when it was planned last, and says until it is planned next. NULL: no task says it.
  cron text,
  timezone text,
  planned_until timestamptz NOT NULL,
  -- For all tenants.
  paused_at timestamptz,
  PRIMARY KEY (task_id, key)
);

-- A nominal time of a schedule, for the tenants that have it by this cron text in this time zone.
CREATE TABLE public.platform_schedule_ticks (
  task_id text NOT NULL,
  key text NOT NULL,
  cron text NOT NULL,
  timezone text NOT NULL,
  nominal_at timestamptz NOT NULL,
  -- What the task said then. NULL: an extra schedule.
  declared_cron text,
  declared_timezone text,
  -- Tenants up to this one, in the order of their slugs, have their run.
  after_tenant text NOT NULL DEFAULT '',
  runs int NOT NULL DEFAULT 0,
  -- Tenants that got none because their run of the time before was open.
  overlapping int NOT NULL DEFAULT 0,
  made_at timestamptz NOT NULL,
  next_try_at timestamptz NOT NULL,
  finished_at timestamptz,
  PRIMARY KEY (task_id, key, cron, timezone, nominal_at)
);

CREATE INDEX platform_schedule_ticks_open ON public.platform_schedule_ticks (nominal_at) WHERE finished_at IS NULL;
CREATE INDEX platform_schedule_ticks_made_at ON public.platform_schedule_ticks (made_at);
