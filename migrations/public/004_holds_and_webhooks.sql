-- Why a tenant's runs of one service wait, and which events of providers have been taken.

-- One row per tenant and service, for as long as runs wait because of it.
CREATE TABLE public.platform_holds (
  tenant_id text NOT NULL,
  service text NOT NULL,
  reason text NOT NULL CHECK (reason IN ('not_configured', 'refused', 'rate_limited')),
  -- The provider's, or the platform's.
  code text NOT NULL,
  message text NOT NULL,
  placed_at timestamptz NOT NULL DEFAULT now(),
  -- When it ends by itself. NULL: when the credential is replaced or verified.
  until timestamptz,
  -- It is over, and its runs are being let go in portions.
  lifted_at timestamptz,
  released int NOT NULL DEFAULT 0,
  next_portion_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, service)
);

-- For whoever lets go: what has run out, and what has a portion due.
CREATE INDEX platform_holds_until ON public.platform_holds (until) WHERE lifted_at IS NULL;
CREATE INDEX platform_holds_portion ON public.platform_holds (next_portion_at) WHERE lifted_at IS NOT NULL;

-- An event that a provider sends again is taken once.
CREATE TABLE public.platform_webhook_events (
  tenant_id text NOT NULL,
  service text NOT NULL,
  event_id text NOT NULL,
  type text NOT NULL,
  -- The runs it triggered; none where no task wanted it.
  run_ids uuid[] NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, service, event_id)
);

CREATE INDEX platform_webhook_events_received_at ON public.platform_webhook_events (received_at);
