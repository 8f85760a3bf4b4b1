-- Feature flags: one row per flag for the whole platform. `targeting` holds what its type needs: the percentage, or the
-- list of tenants; everyone it does not reach gets `default_value`.

CREATE TABLE public.feature_flags (
  key           text PRIMARY KEY,
  type          text NOT NULL CHECK (type IN ('boolean', 'percentage', 'tenant_list')),
  status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled', 'archived')),
  default_value jsonb NOT NULL DEFAULT 'false',
  targeting     jsonb NOT NULL DEFAULT '{}',
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.feature_flags
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();
