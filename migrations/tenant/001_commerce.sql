-- What a shop sells and to whom: customers, products, orders with their line items, and reviews.
--
-- Runs with search_path = tenant_<slug>, public, so names stand without a schema.
-- Money is whole cents beside a three-letter upper-case currency; a cents column is never a fraction, never a float.

CREATE TABLE customers (
  id                  text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  shopify_customer_id text UNIQUE,
  email               text,
  phone               text,
  first_name          text,
  last_name           text,
  orders_count        integer NOT NULL DEFAULT 0 CHECK (orders_count >= 0),
  total_spent_cents   integer NOT NULL DEFAULT 0 CHECK (total_spent_cents >= 0),
  currency            text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
  tags                text[] DEFAULT '{}',
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX customers_email_idx ON customers (lower(email));

CREATE TRIGGER set_updated_at BEFORE UPDATE ON customers
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE products (
  id                     text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  shopify_product_id     text UNIQUE,
  title                  text NOT NULL,
  handle                 text,
  status                 text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'active', 'archived')),
  price_cents            integer CHECK (price_cents >= 0),
  compare_at_price_cents integer CHECK (compare_at_price_cents >= 0),
  currency               text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
  -- May be negative: a shop can oversell.
  inventory_quantity     integer,
  variants               jsonb NOT NULL DEFAULT '[]',
  shopify_updated_at     timestamptz,
  synced_at              timestamptz,
  created_at             timestamptz NOT NULL DEFAULT now(),
  updated_at             timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX products_handle_idx ON products (handle);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON products
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE orders (
  id                 text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  shopify_order_id   text UNIQUE,
  order_number       text NOT NULL,
  customer_id        text REFERENCES customers ON DELETE SET NULL,
  customer_email     text,
  status             text NOT NULL DEFAULT 'pending' CHECK (status IN
                       ('pending', 'confirmed', 'processing', 'shipped', 'delivered', 'cancelled', 'refunded')),
  fulfillment_status text NOT NULL DEFAULT 'unfulfilled' CHECK (fulfillment_status IN
                       ('unfulfilled', 'partial', 'fulfilled')),
  financial_status   text NOT NULL DEFAULT 'pending' CHECK (financial_status IN
                       ('pending', 'authorized', 'paid', 'partially_paid', 'partially_refunded', 'refunded', 'voided')),
  -- Before discounts: net sales are subtotal_cents - discount_cents.
  subtotal_cents     integer NOT NULL DEFAULT 0 CHECK (subtotal_cents >= 0),
  discount_cents     integer NOT NULL DEFAULT 0 CHECK (discount_cents >= 0),
  shipping_cents     integer NOT NULL DEFAULT 0 CHECK (shipping_cents >= 0),
  tax_cents          integer NOT NULL DEFAULT 0 CHECK (tax_cents >= 0),
  total_cents        integer NOT NULL DEFAULT 0 CHECK (total_cents >= 0),
  currency           text NOT NULL DEFAULT 'USD' CHECK (currency ~ '^[A-Z]{3}$'),
  discount_codes     text[] NOT NULL DEFAULT '{}',
  shopify_updated_at timestamptz,
  order_placed_at    timestamptz,
  processed_at       timestamptz,
  fulfilled_at       timestamptz,
  cancelled_at       timestamptz,
  created_at         timestamptz NOT NULL DEFAULT now(),
  updated_at         timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX orders_customer_id_idx ON orders (customer_id);
CREATE INDEX orders_order_number_idx ON orders (order_number);
CREATE INDEX orders_status_idx ON orders (status, created_at);
CREATE INDEX orders_order_placed_at_idx ON orders (order_placed_at);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON orders
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE order_line_items (
  id                   text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  order_id             text NOT NULL REFERENCES orders ON DELETE CASCADE,
  shopify_line_item_id text UNIQUE,
  product_id           text REFERENCES products ON DELETE SET NULL,
  title                text NOT NULL,
  variant_title        text,
  sku                  text,
  quantity             integer NOT NULL CHECK (quantity >= 0),
  -- Of one piece.
  price_cents          integer NOT NULL CHECK (price_cents >= 0),
  created_at           timestamptz NOT NULL DEFAULT now(),
  updated_at           timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX order_line_items_order_id_idx ON order_line_items (order_id);
CREATE INDEX order_line_items_product_id_idx ON order_line_items (product_id);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON order_line_items
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE reviews (
  id                text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  product_id        text NOT NULL REFERENCES products ON DELETE CASCADE,
  -- The opinion outlives the customer's data.
  customer_id       text REFERENCES customers ON DELETE SET NULL,
  rating            integer NOT NULL CHECK (rating BETWEEN 1 AND 5),
  title             text,
  body              text,
  verified_purchase boolean NOT NULL DEFAULT false,
  status            text DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected')),
  created_at        timestamptz NOT NULL DEFAULT now(),
  updated_at        timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX reviews_product_id_idx ON reviews (product_id);
CREATE INDEX reviews_customer_id_idx ON reviews (customer_id);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON reviews
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
