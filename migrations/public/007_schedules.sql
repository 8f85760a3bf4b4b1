-- Schedules: what tenants have otherwise than the task says, how far each is planned, and the ticks being handed out.
-- A tick is handed out by what held at its time, however late that is: what is changed leaves behind what was before.

-- Since when a tenant takes ticks: one that is created, or resumed, gets none of the time before.
ALTER TABLE public.organizations ADD COLUMN active_since timestamptz NOT NULL DEFAULT now();

-- What a tenant was, up to and with a moment, and from the row before on.
CREATE TABLE public.platform_tenant_past (
  tenant_id text NOT NULL REFERENCES public.organizations (slug) ON UPDATE CASCADE ON DELETE CASCADE,
  until timestamptz NOT NULL,
  -- NULL: it was not active.
  active_since timestamptz,
  timezone text NOT NULL,
  PRIMARY KEY (tenant_id, until)
);

CREATE INDEX platform_tenant_past_until ON public.platform_tenant_past (until);

CREATE FUNCTION public.note_tenant_past() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  changed_at timestamptz;
BEGIN
  -- The lock of planning (schedules/plan.ts): whoever plans has planned by the old time zone, or sees the new one.
  IF NEW.timezone <> OLD.timezone THEN
    PERFORM pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('cgk schedules', 0));
  END IF;
  changed_at := pg_catalog.clock_timestamp();
  INSERT INTO public.platform_tenant_past (tenant_id, until, active_since, timezone)
  VALUES (OLD.slug, changed_at, CASE OLD.status WHEN 'active' THEN OLD.active_since END, OLD.timezone)
  ON CONFLICT DO NOTHING;
  IF NEW.status = 'active' AND OLD.status <> 'active' THEN
    NEW.active_since := changed_at;
  END IF;
  RETURN NEW;
END;
$$;

CREATE TRIGGER note_past BEFORE UPDATE ON public.organizations
  FOR EACH ROW WHEN (NEW.status <> OLD.status OR NEW.timezone <> OLD.timezone)
  EXECUTE FUNCTION public.note_tenant_past();

-- The time zones that are in use, each found with one probe. Of whoever was suspended, too: times may have come before.
CREATE INDEX organizations_timezone ON public.organizations (timezone);

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
  PRIMARY KEY (tenant_id, task_id, key),
  CHECK (NOT extra OR (cron IS NOT NULL AND timezone IS NOT NULL))
);

CREATE INDEX platform_schedules_task ON public.platform_schedules (task_id, key);

-- What such a row was, up to and with a moment, and from the row before on. All NULL: there was none.
CREATE TABLE public.platform_schedule_past (
  tenant_id text NOT NULL REFERENCES public.organizations (slug) ON UPDATE CASCADE ON DELETE CASCADE,
  task_id text NOT NULL,
  key text NOT NULL,
  until timestamptz NOT NULL,
  cron text,
  timezone text,
  payload jsonb,
  paused_at timestamptz,
  PRIMARY KEY (tenant_id, task_id, key, until)
);

CREATE INDEX platform_schedule_past_task ON public.platform_schedule_past (task_id, key, until);

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
