-- The orders of a customer are synced side by side, and each brings what Shopify knew of the customer when it was read:
-- the later update stays, whichever is written last.

ALTER TABLE customers ADD COLUMN shopify_updated_at timestamptz;
