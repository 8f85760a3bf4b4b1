-- The tenant's own money at its providers (top-ups, the level to warn at, open warnings), and where each sync stands.

CREATE TABLE stripe_topups (
  id              text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  stripe_topup_id text UNIQUE,
  amount_cents    integer NOT NULL CHECK (amount_cents >= 0),
  currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  -- Stripe's own words, hence its spelling of canceled.
  status          text NOT NULL DEFAULT 'pending' CHECK (status IN
                    ('pending', 'succeeded', 'failed', 'canceled', 'reversed')),
  failure_code    text,
  failure_message text,
  completed_at    timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX stripe_topups_pending_idx ON stripe_topups (created_at) WHERE status = 'pending';

CREATE TRIGGER set_updated_at BEFORE UPDATE ON stripe_topups
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE treasury_settings (
  -- The key can only be true, so there is never a second row. No row: the tenant has not set up its warnings.
  only_row                    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  low_balance_threshold_cents integer NOT NULL CHECK (low_balance_threshold_cents >= 0),
  currency                    text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
  alert_recipients            text[] NOT NULL DEFAULT '{}',
  created_at                  timestamptz NOT NULL DEFAULT now(),
  updated_at                  timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON treasury_settings
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE treasury_alerts (
  id              text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  -- May be negative: a provider's balance can be overdrawn.
  balance_cents   integer NOT NULL,
  threshold_cents integer NOT NULL CHECK (threshold_cents >= 0),
  opened_at       timestamptz NOT NULL DEFAULT now(),
  closed_at       timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now(),
  updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX treasury_alerts_one_open ON treasury_alerts (currency) WHERE closed_at IS NULL;

CREATE TRIGGER set_updated_at BEFORE UPDATE ON treasury_alerts
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

-- A cursor moves only after everything before it is safely enqueued or stored.
CREATE TABLE sync_cursors (
  name     text PRIMARY KEY,
  cursor   text,
  moved_at timestamptz NOT NULL DEFAULT now()
);
