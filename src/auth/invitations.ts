/**
 * Inviting somebody into a tenant: a link with a token, for one e-mail address and to be used once.
 *
 * An invitation is the word of its sender, and is worth at its acceptance what the sender may still give then.
 *
 * The sender gets the token, for the platform sends no mail: the app delivers the link. So what is promised is this.
 * Who has an account accepts only as who has signed in to it, and the token alone gives nobody that account. Who has
 * none gets one, for whoever holds the link, which may be the sender: so that account is one of that tenant alone, in
 * which the sender could let in anybody anyway. It joins no other tenant, by an invitation or by an operator's hand,
 * until an operator has confirmed its address (`confirmAddress`). Not promised: that such an account is of the person
 * who reads that address's mail. An app that decides by addresses looks at `addressConfirmed` of the principal. Whoever
 * finds their address taken asks an operator, who sets the password and confirms.
 */
import type pg from 'pg'
import { platformTransaction } from '../db/platform-transaction.ts'
import { InvitationInvalidError, SignInToAcceptError } from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import { parseEmail, parseName, parsePassword } from './account-text.ts'
import { hashSecret, isToken, newToken } from './bearer-secret.ts'
import type { AuthDeps } from './deps.ts'
import { isId } from './id.ts'
import { inOrganization, insertMember, parseGrant } from './memberships.ts'
import type { PageOptions } from './page.ts'
import { lacking, requireGrant, requirePermission, type TenantRole } from './permissions.ts'
import type { UserPrincipal } from './principal.ts'
import { readStanding } from './standing.ts'

export interface Invitation {
  id: string
  tenantId: string
  email: string
  role: TenantRole
  /** E-mail address of the sender. */
  invitedBy: string
  status: 'pending' | 'accepted' | 'expired' | 'revoked'
  expiresAt: Date
  createdAt: Date
}

const lifetimeMs = 7 * 24 * 3_600_000

/**
 * One that waits for the same address is replaced, and its token is void. The token is in this answer and nowhere else.
 *
 * @throws InvalidAccountError, InvalidGrantError, ForbiddenError, UnknownTenantError.
 */
export async function createInvitation(
  auth: AuthDeps,
  invitation: { tenantId: string; email: string; role: TenantRole },
  by: UserPrincipal,
): Promise<{ id: string; token: string; expiresAt: Date }> {
  const email = parseEmail(invitation.email)
  const { tenantId, role } = parseGrant(invitation)
  requireGrant(by, { role }, tenantId)
  const token = newToken()
  const now = auth.now()
  const expiresAt = new Date(now.getTime() + lifetimeMs)
  return await inOrganization(auth, tenantId, async (client, organizationId) => {
    await client.query(
      `UPDATE public.team_invitations SET status = CASE WHEN expires_at > $3 THEN 'revoked' ELSE 'expired' END
       WHERE organization_id = $1 AND lower(email) = $2 AND status = 'pending'`,
      [organizationId, email, now],
    )
    const { rows } = await client.query<{ id: string }>(
      `INSERT INTO public.team_invitations (organization_id, email, role, invited_by, token_hash, expires_at, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
      [organizationId, email, role, by.id, hashSecret(token), expiresAt, now],
    )
    return { id: rows[0]!.id, token, expiresAt }
  })
}

/** The newest first. Index: team_invitations_organization_id_idx. */
export async function listInvitations(
  auth: AuthDeps,
  tenantId: string,
  { limit, after }: PageOptions = {},
): Promise<Invitation[]> {
  const { rows } = await auth.database.query<Invitation>(
    `SELECT team_invitations.id, slug AS "tenantId", team_invitations.email, role, users.email AS "invitedBy",
       CASE WHEN team_invitations.status = 'pending' AND expires_at <= $2 THEN 'expired' ELSE team_invitations.status END AS status,
       expires_at AS "expiresAt", team_invitations.created_at AS "createdAt"
     FROM public.team_invitations
     JOIN public.organizations ON organizations.id = organization_id
     JOIN public.users ON users.id = invited_by
     WHERE slug = $1 AND ($3::uuid IS NULL OR (team_invitations.created_at, team_invitations.id) <
       (SELECT created_at, id FROM public.team_invitations WHERE id = $3))
     ORDER BY team_invitations.created_at DESC, team_invitations.id DESC LIMIT $4`,
    [parseSlug(tenantId), auth.now(), after ?? null, limit ?? null],
  )
  return rows
}

/** False: it was used, replaced, revoked, or there is none. @throws ForbiddenError. */
export async function revokeInvitation(
  auth: AuthDeps,
  invitation: { id: string; tenantId: string },
  by: UserPrincipal,
): Promise<boolean> {
  const { id } = invitation
  const tenantId = parseSlug(invitation.tenantId)
  requirePermission(by, 'people:write', tenantId)
  if (!isId(id)) return false
  const { rowCount } = await auth.database.query(
    `UPDATE public.team_invitations SET status = 'revoked' FROM public.organizations
     WHERE team_invitations.id = $1 AND organizations.id = organization_id AND slug = $2
       AND team_invitations.status = 'pending'`,
    [id, tenantId],
  )
  return rowCount === 1
}

export interface Acceptance {
  token: string
  /** Whoever has an account accepts as who they are; */
  user?: UserPrincipal | undefined
  /** whoever has none gets one for the invited address. */
  account?: { password: string; name?: string | undefined } | undefined
}

/**
 * Answers whose account has which tenant now. Whoever belongs to it already stays what they are.
 *
 * @throws InvitationInvalidError, SignInToAcceptError, AddressUnconfirmedError, InvalidAccountError, InvalidPasswordError.
 */
export async function acceptInvitation(
  auth: AuthDeps,
  { token, user, account }: Acceptance,
): Promise<{ tenantId: string; userId: string; email: string }> {
  if (!isToken(token) || !(await isPending(auth, token))) throw new InvitationInvalidError()
  const newcomer = user || !account ? null : await hashAccount(auth, account)
  return await platformTransaction(auth.database, async (client) => {
    const taken = await takeInvitation(client, token, auth.now())
    const { tenantId, email, role } = taken
    const sender = await readStanding(client, taken.senderId)
    if (!sender?.isActive || lacking(sender, { role }, tenantId) !== null) throw new InvitationInvalidError()
    if (user && user.name !== email) throw new InvitationInvalidError()
    const userId = user?.id ?? (await insertAccount(client, taken, newcomer))
    await insertMember(client, userId, { tenantId, role }, sender)
    return { tenantId, userId, email }
  })
}

/** Nobody makes us hash passwords with a token that was made up. */
async function isPending(auth: AuthDeps, token: string): Promise<boolean> {
  const { rowCount } = await auth.database.query(
    `SELECT FROM public.team_invitations WHERE token_hash = $1 AND status = 'pending' AND expires_at > $2`,
    [hashSecret(token), auth.now()],
  )
  return rowCount === 1
}

interface Taken {
  tenantId: string
  email: string
  role: TenantRole
  senderId: string
}

/** Of two who accept at once, one takes it; what fails afterwards gives it back with the transaction. */
async function takeInvitation(client: pg.PoolClient, token: string, now: Date): Promise<Taken> {
  const { rows } = await client.query<Taken>(
    `WITH taken AS (
       UPDATE public.team_invitations SET status = 'accepted', accepted_at = $2
       WHERE token_hash = $1 AND status = 'pending' AND expires_at > $2
       RETURNING organization_id, email, role, invited_by
     )
     SELECT slug AS "tenantId", taken.email, taken.role, taken.invited_by AS "senderId"
     FROM taken JOIN public.organizations ON organizations.id = taken.organization_id`,
    [hashSecret(token), now],
  )
  const [taken] = rows
  if (!taken) throw new InvitationInvalidError()
  return taken
}

interface NewAccount {
  name: string | null
  passwordHash: string
}

async function hashAccount(
  auth: AuthDeps,
  { password, name }: NonNullable<Acceptance['account']>,
): Promise<NewAccount> {
  return {
    name: name === undefined ? null : parseName(name),
    passwordHash: await auth.passwords.hash(parsePassword(password)),
  }
}

/**
 * An account that somebody has signed in with is never given another password here; nor one that is more than an
 * address, for whoever holds the token would get what it has elsewhere.
 */
async function insertAccount(
  client: pg.PoolClient,
  { tenantId, email }: Taken,
  account: NewAccount | null,
): Promise<string> {
  if (!account) throw new SignInToAcceptError()
  const { rows } = await client.query<{ id: string }>(
    `INSERT INTO public.users (email, name, password_hash, invited_into)
     SELECT $1, $2, $3, id FROM public.organizations WHERE slug = $4
     ON CONFLICT (lower(email)) DO UPDATE
       SET name = coalesce(excluded.name, users.name), password_hash = excluded.password_hash, status = 'active',
         invited_into = excluded.invited_into
       WHERE users.status = 'invited' AND users.password_hash IS NULL AND NOT users.is_operator
         AND NOT EXISTS (SELECT FROM public.user_organizations WHERE user_id = users.id)
     RETURNING id`,
    [email, account.name, account.passwordHash, tenantId],
  )
  const id = rows[0]?.id
  if (id === undefined) throw new SignInToAcceptError()
  return id
}
