-- Tenants, and the people and keys that may act for them.
--
-- A tenant is a row of organizations; its slug is the tenantId that payloads, roles and schemas (tenant_<slug>) carry.
-- Secrets are kept as hashes only: of a session, an API key or an invitation nothing here can be used to sign in.

CREATE FUNCTION public.update_updated_at_column() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := pg_catalog.now();
  RETURN NEW;
END;
$$;

CREATE TABLE public.organizations (
  id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  -- 48 leaves room for "tenant_" and a suffix within the 63 bytes of a Postgres identifier.
  slug       text NOT NULL UNIQUE CHECK (slug ~ '^[a-z][a-z0-9_]*$' AND length(slug) <= 48),
  name       text NOT NULL,
  status     text NOT NULL DEFAULT 'onboarding' CHECK (status IN ('onboarding', 'active', 'suspended')),
  timezone   text NOT NULL DEFAULT 'UTC',
  settings   jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.organizations
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE public.users (
  id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  email         text NOT NULL,
  name          text,
  password_hash text,
  status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'invited', 'disabled')),
  is_operator   boolean NOT NULL DEFAULT false,
  last_login_at timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now(),
  updated_at    timestamptz NOT NULL DEFAULT now()
);

-- One account per address, however it is capitalised. Look up by lower(email); upsert with ON CONFLICT (lower(email)).
CREATE UNIQUE INDEX users_email_key ON public.users (lower(email));

CREATE TRIGGER set_updated_at BEFORE UPDATE ON public.users
  FOR EACH ROW EXECUTE FUNCTION public.update_updated_at_column();

CREATE TABLE public.user_organizations (
  user_id         uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
  organization_id uuid NOT NULL REFERENCES public.organizations ON DELETE CASCADE,
  role            text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
  permissions     text[] NOT NULL DEFAULT '{}',
  created_at      timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (user_id, organization_id)
);

CREATE INDEX user_organizations_organization_id_idx ON public.user_organizations (organization_id);

CREATE TABLE public.sessions (
  id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id           uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
  token_hash        text NOT NULL UNIQUE,
  -- A slug, for it is a tenantId. A deleted tenant leaves its people signed in, with no tenant chosen.
  current_tenant_id text REFERENCES public.organizations (slug) ON UPDATE CASCADE ON DELETE SET NULL,
  expires_at        timestamptz NOT NULL,
  revoked_at        timestamptz,
  ip_address        text,
  user_agent        text,
  created_at        timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX sessions_user_id_idx ON public.sessions (user_id);
CREATE INDEX sessions_current_tenant_id_idx ON public.sessions (current_tenant_id);
CREATE INDEX sessions_expires_at_idx ON public.sessions (expires_at);

CREATE TABLE public.api_keys (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  -- NULL: a key of the platform itself, not of one tenant.
  organization_id uuid REFERENCES public.organizations ON DELETE CASCADE,
  key_hash        text NOT NULL UNIQUE,
  -- The first characters of the key, so that a person can tell keys apart.
  key_prefix      text NOT NULL,
  name            text NOT NULL,
  scopes          text[] NOT NULL DEFAULT '{}',
  expires_at      timestamptz,
  last_used_at    timestamptz,
  revoked_at      timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX api_keys_organization_id_idx ON public.api_keys (organization_id);

CREATE TABLE public.team_invitations (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  organization_id uuid NOT NULL REFERENCES public.organizations ON DELETE CASCADE,
  email           text NOT NULL,
  role            text NOT NULL DEFAULT 'member' CHECK (role IN ('owner', 'admin', 'member')),
  -- An invitation is the word of its sender, and goes with the sender.
  invited_by      uuid NOT NULL REFERENCES public.users ON DELETE CASCADE,
  token_hash      text NOT NULL UNIQUE,
  status          text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'accepted', 'expired', 'revoked')),
  expires_at      timestamptz NOT NULL,
  accepted_at     timestamptz,
  created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX team_invitations_one_pending ON public.team_invitations (organization_id, lower(email))
  WHERE status = 'pending';
CREATE INDEX team_invitations_organization_id_idx ON public.team_invitations (organization_id);
CREATE INDEX team_invitations_invited_by_idx ON public.team_invitations (invited_by);
