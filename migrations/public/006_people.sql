-- What people and keys need beyond the accounts themselves.

-- What an operator may beyond the role, such as 'payload:read'. Of tenants, user_organizations.permissions says it.
ALTER TABLE public.users ADD COLUMN permissions text[] NOT NULL DEFAULT '{}';

-- The tenant into which an account was invited that did not exist before. Whoever invites gets the link, and may be the
-- one who uses it, so the address is their word alone: the account is of that tenant and no other, and goes with it,
-- until an operator confirms the address. NULL: made or confirmed by the platform.
ALTER TABLE public.users ADD COLUMN invited_into uuid REFERENCES public.organizations ON DELETE CASCADE;
CREATE INDEX users_invited_into_idx ON public.users (invited_into);

-- Of the role, what its holder does not have, for whoever gave it did not have it either.
ALTER TABLE public.user_organizations ADD COLUMN withheld text[] NOT NULL DEFAULT '{}';

-- How often somebody has tried to sign in lately: per address, per account, and per both. A try moves free_at on by the
-- time that one try costs; it is refused where free_at lies too far ahead. One row, whatever the number of tries.
CREATE TABLE public.platform_login_limits (
  -- SHA-256: what was typed as an e-mail address may be a password.
  key bytea PRIMARY KEY,
  -- From then on the row says nothing any more, and is deleted some time.
  free_at timestamptz NOT NULL
);

CREATE INDEX platform_login_limits_free_at ON public.platform_login_limits (free_at);

-- What was sent with an Idempotency-Key, so that of two requests at once with one key, the same is one, and the other is
-- refused. Kept for a week after the key was last sent; after that, the runs themselves tell.
CREATE TABLE public.platform_request_keys (
  -- SHA-256 of who sends it and of the key.
  key bytea PRIMARY KEY,
  -- SHA-256 of both and of what was asked for.
  request bytea NOT NULL,
  sent_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX platform_request_keys_sent_at ON public.platform_request_keys (sent_at);
