-- The tenant's credentials for the services it has an account with. encrypted_value is ciphertext bound to this tenant,
-- service and key: copied to another row or another tenant, it does not decrypt.

CREATE TABLE tenant_api_credentials (
  id               text PRIMARY KEY DEFAULT gen_random_uuid()::text,
  service_name     text NOT NULL,
  credential_key   text NOT NULL,
  encrypted_value  text NOT NULL,
  -- invalid: the provider refused it. Runs of that service are held until it is replaced or verified.
  status           text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'invalid')),
  last_verified_at timestamptz,
  last_error       text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  updated_at       timestamptz NOT NULL DEFAULT now(),
  UNIQUE (service_name, credential_key)
);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON tenant_api_credentials
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
