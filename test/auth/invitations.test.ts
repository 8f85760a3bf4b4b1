/** Invitations: for one address, once, for a week, and never worth more than the word of their sender. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { newToken } from '../../src/auth/bearer-secret.ts'
import {
  acceptInvitation,
  addMember,
  can,
  changeMember,
  confirmAddress,
  createInvitation,
  disableUser,
  findUserId,
  getUserTenants,
  listInvitations,
  removeMember,
  revokeInvitation,
  type UserPrincipal,
} from '../../src/auth/index.ts'
import {
  AddressUnconfirmedError,
  ForbiddenError,
  InvalidAccountError,
  InvalidPasswordError,
  InvitationInvalidError,
  SignInToAcceptError,
  UnknownTenantError,
  UnknownUserError,
} from '../../src/errors.ts'
import {
  addMemberOf,
  addPerson,
  auth,
  password,
  platform,
  principal,
  signIn,
  useAuthPlatform,
} from './kit.ts'

useAuthPlatform()

let tenantId: string
let owner: UserPrincipal
let email: string
let count = 0
beforeEach(async () => {
  tenantId = await platform.tenant()
  owner = await principal(await addMemberOf(tenantId, 'owner'))
  count += 1
  email = `guest${count}@example.com`
})

const invite = async (role: 'member' | 'admin' | 'owner' = 'member', by = owner) =>
  await createInvitation(auth, { tenantId, email, role }, by)
const account = { password, name: 'Guest' }
const statuses = async () => (await listInvitations(auth, tenantId)).map(({ status }) => status)

test('somebody without an account gets one for the invited address', async () => {
  const { token, id, expiresAt } = await invite('admin')
  expect(await listInvitations(auth, tenantId)).toEqual([
    {
      id,
      tenantId,
      email,
      role: 'admin',
      invitedBy: owner.name,
      status: 'pending',
      expiresAt: new Date(auth.now().getTime() + 7 * 86_400_000),
      createdAt: auth.now(),
    },
  ])
  expect(expiresAt).toEqual(new Date(auth.now().getTime() + 7 * 86_400_000))
  const { userId } = await acceptInvitation(auth, { token, account })
  expect(await getUserTenants(auth, userId)).toMatchObject([{ tenantId, role: 'admin' }])
  await signIn({ email })
  expect(await statuses()).toEqual(['accepted'])
  const { rows } = await auth.database.query<{ row: string }>(
    'SELECT i::text AS row FROM public.team_invitations AS i WHERE id = $1',
    [id],
  )
  expect(rows[0]!.row).not.toContain(token)
})

test('somebody with an account accepts as who they are, and nobody sets their password', async () => {
  const person = await addPerson({ email })
  const { token } = await invite()
  await expect(acceptInvitation(auth, { token, account })).rejects.toThrow(SignInToAcceptError)
  await expect(acceptInvitation(auth, { token })).rejects.toThrow(SignInToAcceptError)
  await acceptInvitation(auth, { token, user: await principal({ ...person, email }) })
  expect(await getUserTenants(auth, person.id)).toMatchObject([{ tenantId, role: 'member' }])
})

test('it is bound to its address', async () => {
  const { token } = await invite('owner')
  const other = await principal(await addPerson())
  await expect(acceptInvitation(auth, { token, user: other })).rejects.toThrow(InvitationInvalidError)
  await expect(acceptInvitation(auth, { token, user: other, account })).rejects.toThrow(
    InvitationInvalidError,
  )
  expect(await getUserTenants(auth, other.id)).toEqual([])
  await acceptInvitation(auth, { token, account })
})

test('whoever belongs to the tenant already stays what they are', async () => {
  const { token } = await createInvitation(auth, { tenantId, email: owner.name, role: 'member' }, owner)
  await acceptInvitation(auth, { token, user: owner })
  expect(await getUserTenants(auth, owner.id)).toMatchObject([{ role: 'owner' }])
})

test('an account that was only ever invited is completed', async () => {
  await auth.database.query("INSERT INTO public.users (email, status) VALUES ($1, 'invited')", [email])
  const { token } = await invite()
  await acceptInvitation(auth, { token, account })
  await signIn({ email })
})

describe('it is accepted', () => {
  test('once, also by two at the same moment', async () => {
    const { token } = await invite()
    const accepted = await Promise.allSettled([
      acceptInvitation(auth, { token, account }),
      acceptInvitation(auth, { token, account }),
    ])
    expect(accepted.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await expect(acceptInvitation(auth, { token, account })).rejects.toThrow(InvitationInvalidError)
  })

  test('still, after a try that failed', async () => {
    const { token } = await invite()
    const short = { password: 'short' }
    await expect(acceptInvitation(auth, { token, account: short })).rejects.toThrow(InvalidPasswordError)
    await expect(acceptInvitation(auth, { token })).rejects.toThrow(SignInToAcceptError)
    expect(await statuses()).toEqual(['pending'])
    await acceptInvitation(auth, { token, account })
  })

  test('not after a week, not after it was revoked, and not when it was made up', async () => {
    const old = await invite()
    await platform.advance('7d')
    expect(await statuses()).toEqual(['expired'])
    const revoked = await invite()
    // A week later its sender has to sign in again, which changes nothing of who they are.
    expect(await revokeInvitation(auth, { id: revoked.id, tenantId }, owner)).toBe(true)
    expect(await revokeInvitation(auth, { id: revoked.id, tenantId }, owner)).toBe(false)
    expect(await revokeInvitation(auth, { id: 'nonsense', tenantId }, owner)).toBe(false)
    expect(await statuses()).toEqual(['revoked', 'expired'])
    const hash = vi.spyOn(auth.passwords, 'hash')
    for (const token of [old.token, revoked.token, newToken(), '', "' OR true"]) {
      await expect(acceptInvitation(auth, { token, account })).rejects.toThrow(InvitationInvalidError)
    }
    expect(hash).not.toHaveBeenCalled()
    hash.mockRestore()
  })

  test('not after another one was sent to the same address', async () => {
    const first = await invite()
    const second = await invite('admin')
    await expect(acceptInvitation(auth, { token: first.token, account })).rejects.toThrow(
      InvitationInvalidError,
    )
    const { userId } = await acceptInvitation(auth, { token: second.token, account })
    expect(await getUserTenants(auth, userId)).toMatchObject([{ role: 'admin' }])
  })

  test('not when its sender may not give it any more', async () => {
    const cases: ((sender: UserPrincipal) => Promise<void>)[] = [
      (sender) => disableUser(auth, sender.id, null),
      (sender) => removeMember(auth, sender.id, tenantId, null),
      (sender) => changeMember(auth, sender.id, { tenantId, role: 'admin' }, null),
      (sender) => changeMember(auth, sender.id, { tenantId, role: 'member' }, null),
    ]
    for (const fall of cases) {
      const sender = await principal(await addMemberOf(tenantId, 'owner'))
      const { token } = await invite('owner', sender)
      await fall(sender)
      await expect(acceptInvitation(auth, { token, account })).rejects.toThrow(InvitationInvalidError)
    }
  })
})

test('two for one address at the same moment: one of them is valid', async () => {
  const both = await Promise.all([invite(), invite()])
  expect((await statuses()).sort()).toEqual(['pending', 'revoked'])
  const accepted = await Promise.allSettled(
    both.map(({ token }) => acceptInvitation(auth, { token, account })),
  )
  expect(accepted.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
})

test('an invitation is never above its sender, and not for other tenants', async () => {
  const admin = await principal(await addMemberOf(tenantId, 'admin'))
  const member = await principal(await addMemberOf(tenantId, 'member'))
  const stranger = await principal(await addMemberOf(await platform.tenant(), 'owner'))
  for (const [role, by] of [
    ['owner', admin],
    ['member', member],
    ['member', stranger],
  ] as const) {
    await expect(invite(role, by)).rejects.toThrow(ForbiddenError)
  }
  const { id } = await invite('admin', admin)
  for (const by of [member, stranger]) {
    await expect(revokeInvitation(auth, { id, tenantId }, by)).rejects.toThrow(ForbiddenError)
  }
  const elsewhere = { id, tenantId: [...stranger.memberships.keys()][0]! }
  expect(await revokeInvitation(auth, elsewhere, stranger)).toBe(false)
  expect(await statuses()).toEqual(['pending'])
})

test('an operator invites the first owner, who does all but what operators do not', async () => {
  const operator = await principal(await addPerson({ operator: true }))
  const reader = await principal(await addPerson({ operator: true, permissions: ['payload:read'] }))
  for (const [by, withheld] of [
    [operator, ['payload:read']],
    [reader, []],
  ] as const) {
    tenantId = await platform.tenant()
    email = `first-of-${tenantId}@example.com`
    const { userId } = await acceptInvitation(auth, { token: (await invite('owner', by)).token, account })
    expect(await getUserTenants(auth, userId)).toMatchObject([{ tenantId, role: 'owner', withheld }])
    const first = await principal({ id: userId, email })
    expect(can(first, 'people:write', tenantId)).toBe(true)
    expect(can(first, 'payload:read', tenantId)).toBe(withheld.length === 0)
  }
})

test('an operator invites into any tenant that there is', async () => {
  const operator = await principal(await addPerson({ operator: true }))
  await acceptInvitation(auth, { token: (await invite('owner', operator)).token, account })
  const nowhere = createInvitation(auth, { tenantId: 'no_such_tenant', email, role: 'member' }, operator)
  await expect(nowhere).rejects.toThrow(UnknownTenantError)
  const nobody = createInvitation(auth, { tenantId, email: 'nobody', role: 'member' }, operator)
  await expect(nobody).rejects.toThrow(InvalidAccountError)
})

describe('an account made with a link, which its sender may have used,', () => {
  let userId: string
  beforeEach(async () => {
    ;({ userId } = await acceptInvitation(auth, { token: (await invite('owner')).token, account }))
  })
  const guest = async () => await principal({ id: userId, email })
  const elsewhere = async () => {
    const other = await platform.tenant()
    const by = await principal(await addMemberOf(other, 'owner'))
    return { other, by, ...(await createInvitation(auth, { tenantId: other, email, role: 'member' }, by)) }
  }

  test('is of that tenant, and joins no other, whoever asks for it', async () => {
    const { other, token } = await elsewhere()
    expect(await guest()).toMatchObject({ addressConfirmed: false })
    await expect(acceptInvitation(auth, { token, account })).rejects.toThrow(SignInToAcceptError)
    await expect(acceptInvitation(auth, { token, user: await guest() })).rejects.toThrow(
      AddressUnconfirmedError,
    )
    const operator = await principal(await addPerson({ operator: true }))
    for (const by of [operator, null]) {
      await expect(addMember(auth, userId, { tenantId: other, role: 'member' }, by)).rejects.toThrow(
        AddressUnconfirmedError,
      )
    }
    expect(await getUserTenants(auth, userId)).toMatchObject([{ tenantId }])
    // But that one again.
    await addMemberOf(tenantId, 'owner')
    await removeMember(auth, userId, tenantId, null)
    await acceptInvitation(auth, { token: (await invite()).token, user: await guest() })
  })

  test('joins others once an operator has confirmed it, with the invitation that waits', async () => {
    const { token, other, by } = await elsewhere()
    await expect(confirmAddress(auth, userId, by)).rejects.toThrow(ForbiddenError)
    await expect(confirmAddress(auth, userId, owner)).rejects.toThrow(ForbiddenError)
    const operator = await principal(await addPerson({ operator: true }))
    expect(await confirmAddress(auth, userId, operator)).toBe(true)
    expect(await confirmAddress(auth, userId, null)).toBe(false)
    for (const id of ['00000000-0000-4000-8000-000000000000', 'nonsense']) {
      await expect(confirmAddress(auth, id, null)).rejects.toThrow(UnknownUserError)
    }
    await acceptInvitation(auth, { token, user: await guest() })
    expect((await getUserTenants(auth, userId)).map((one) => one.tenantId).sort()).toEqual(
      [tenantId, other].sort(),
    )
    expect(await guest()).toMatchObject({ addressConfirmed: true })
  })

  test('goes with the tenant, so that its address is free', async () => {
    await (await platform.platform.ready()).tenants.database.query(
      'DELETE FROM public.organizations WHERE slug = $1',
      [tenantId],
    )
    await expect(findUserId(auth, email)).rejects.toThrow(UnknownUserError)
  })
})

test('the token gives nobody an account that is more than an address', async () => {
  const other = await platform.tenant()
  const waiting = async (operator: boolean) => {
    const { rows } = await auth.database.query<{ id: string }>(
      "INSERT INTO public.users (email, status, is_operator) VALUES ($1, 'invited', $2) RETURNING id",
      [email, operator],
    )
    return rows[0]!.id
  }
  await addMember(auth, await waiting(false), { tenantId: other, role: 'owner' }, null)
  const { token } = await invite()
  await expect(acceptInvitation(auth, { token, account })).rejects.toThrow(SignInToAcceptError)
  email = `operator-${email}`
  await waiting(true)
  const again = await invite()
  await expect(acceptInvitation(auth, { token: again.token, account })).rejects.toThrow(SignInToAcceptError)
})
