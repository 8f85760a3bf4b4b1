-- A payout leaves the available balance once, and comes back at most once: the ledger itself refuses a second time,
-- whatever runs at the same moment.

CREATE UNIQUE INDEX balance_transactions_payout_once
  ON balance_transactions (payout_id, (amount_cents > 0)) WHERE type IN ('payout', 'refund') AND payout_id IS NOT NULL;
