-- Creators, what they earn and what they are paid.
--
-- A commission is earned on hold (pending balance), becomes available when its hold ends, and leaves as a payout.
-- Lock order, for every task that moves money: order or payout, then creators by id, then commissions, then the ledger.
-- Rows with money in them are never deleted along with something else: their foreign keys restrict.

CREATE TABLE creators (
  id                    text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  email                 text NOT NULL,
  first_name            text NOT NULL,
  last_name             text NOT NULL,
  status                text NOT NULL DEFAULT 'pending' CHECK (status IN
                          ('pending', 'approved', 'active', 'paused', 'terminated')),
  tier                  text NOT NULL DEFAULT 'bronze' CHECK (tier IN ('bronze', 'silver', 'gold', 'platinum')),
  commission_rate_pct   numeric(5,2) NOT NULL DEFAULT 10 CHECK (commission_rate_pct BETWEEN 0 AND 100),
  referral_code         text,
  -- Available: a payout may take it.
  balance_cents         integer NOT NULL DEFAULT 0 CHECK (balance_cents >= 0),
  -- Earned, but its hold has not ended.
  pending_balance_cents integer NOT NULL DEFAULT 0 CHECK (pending_balance_cents >= 0),
  currency              text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
  stripe_connect_id     text,
  wise_recipient_id     text,
  approved_at           timestamptz,
  approved_by           text,
  created_at            timestamptz NOT NULL DEFAULT now(),
  updated_at            timestamptz NOT NULL DEFAULT now()
);

-- Shoppers type codes as they like, so SUMMER and summer are one code and must belong to one creator.
CREATE UNIQUE INDEX creators_referral_code_key ON creators (lower(referral_code));
CREATE UNIQUE INDEX creators_email_key ON creators (lower(email));
CREATE INDEX creators_status_idx ON creators (status);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON creators
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE creator_projects (
  id            text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  creator_id    text NOT NULL REFERENCES creators ON DELETE CASCADE,
  title         text NOT NULL,
  status        text NOT NULL DEFAULT 'draft' CHECK (status IN
                  ('draft', 'submitted', 'in_review', 'revision_requested', 'approved', 'completed', 'cancelled')),
  due_date      date,
  payment_cents integer CHECK (payment_cents >= 0),
  completed_at  timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX creator_projects_creator_id_idx ON creator_projects (creator_id, due_date);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON creator_projects
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE payouts (
  id                 text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  creator_id         text NOT NULL REFERENCES creators ON DELETE RESTRICT,
  -- What leaves the creator's balance: fee_cents to the provider, net_amount_cents to the creator.
  amount_cents       integer NOT NULL CHECK (amount_cents > 0),
  fee_cents          integer NOT NULL DEFAULT 0 CHECK (fee_cents >= 0),
  net_amount_cents   integer NOT NULL CHECK (net_amount_cents >= 0),
  currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  method             text NOT NULL CHECK (method IN ('stripe', 'wise')),
  status             text NOT NULL DEFAULT 'pending' CHECK (status IN
                       ('pending', 'processing', 'completed', 'failed', 'cancelled')),
  stripe_transfer_id text UNIQUE,
  wise_quote_id      text,
  wise_transfer_id   text UNIQUE,
  failure_reason     text,
  failure_code       text,
  initiated_at       timestamptz,
  completed_at       timestamptz,
  failed_at          timestamptz,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now(),
  CHECK (net_amount_cents = amount_cents - fee_cents)
);

CREATE INDEX payouts_creator_id_idx ON payouts (creator_id);
CREATE INDEX payouts_created_at_idx ON payouts (created_at);
-- payouts/check-pending: the oldest payouts under way, of one method or of both.
CREATE INDEX payouts_processing_idx ON payouts (initiated_at) WHERE status = 'processing';

CREATE TRIGGER set_updated_at BEFORE UPDATE ON payouts
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE commissions (
  id                 text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  -- Unique: an order earns one commission, however often it is credited.
  order_id           text NOT NULL UNIQUE REFERENCES orders ON DELETE RESTRICT,
  creator_id         text NOT NULL REFERENCES creators ON DELETE RESTRICT,
  promo_code         text,
  net_sales_cents    integer NOT NULL CHECK (net_sales_cents >= 0),
  -- The rate of the day it was earned; a later change of the creator's rate does not touch it.
  commission_percent numeric(5,2) NOT NULL CHECK (commission_percent BETWEEN 0 AND 100),
  commission_cents   integer NOT NULL CHECK (commission_cents >= 0),
  currency           text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  status             text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'paid', 'rejected')),
  hold_until         timestamptz NOT NULL,
  payout_id          text REFERENCES payouts ON DELETE RESTRICT,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX commissions_creator_id_idx ON commissions (creator_id, created_at);
CREATE INDEX commissions_payout_id_idx ON commissions (payout_id);
-- payouts/mature-commissions: what is due, and whose.
CREATE INDEX commissions_pending_idx ON commissions (creator_id, hold_until) WHERE status = 'pending';

CREATE TRIGGER set_updated_at BEFORE UPDATE ON commissions
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

-- The ledger: append only, one row per movement of one of a creator's two balances. For each creator, the sum of the
-- rows of a balance is that balance in creators, and balance_after_cents of its last row says the same.
CREATE TABLE balance_transactions (
  id                  text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  -- The order of the movements: created_at cannot tell apart two of the same transaction.
  position            bigint GENERATED ALWAYS AS IDENTITY,
  creator_id          text NOT NULL REFERENCES creators ON DELETE RESTRICT,
  type                text NOT NULL CHECK (type IN ('commission', 'payout', 'adjustment', 'refund')),
  -- pending = creators.pending_balance_cents, available = creators.balance_cents.
  balance             text NOT NULL DEFAULT 'available' CHECK (balance IN ('pending', 'available')),
  -- Signed: what is taken is negative.
  amount_cents        integer NOT NULL CHECK (amount_cents <> 0),
  currency            text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
  balance_after_cents integer NOT NULL CHECK (balance_after_cents >= 0),
  order_id            text REFERENCES orders ON DELETE RESTRICT,
  payout_id           text REFERENCES payouts ON DELETE RESTRICT,
  description         text,
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now()
);

-- An order's commission enters the pending balance once, leaves it once, and enters the available one once.
CREATE UNIQUE INDEX balance_transactions_commission_once
  ON balance_transactions (order_id, balance, (amount_cents > 0)) WHERE type = 'commission';
CREATE INDEX balance_transactions_creator_id_idx ON balance_transactions (creator_id, position);
CREATE INDEX balance_transactions_order_id_idx ON balance_transactions (order_id);
CREATE INDEX balance_transactions_payout_id_idx ON balance_transactions (payout_id);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON balance_transactions
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
