/** Accounts: who makes and changes them, and what a list shows of them. */
import { describe, expect, test } from 'vitest'
import {
  can,
  createUser,
  disableUser,
  enableUser,
  findUserId,
  listUsers,
  login,
  setPassword,
} from '../../src/auth/index.ts'
import {
  ForbiddenError,
  InvalidAccountError,
  InvalidGrantError,
  InvalidPasswordError,
  UnknownTenantError,
  UnknownUserError,
  UserExistsError,
} from '../../src/errors.ts'
import {
  addMemberOf,
  addPerson,
  allRefused,
  auth,
  newAddress,
  password,
  platform,
  principal,
  useAuthPlatform,
} from './kit.ts'

useAuthPlatform()

test('an account is there with all it was given, and signs in', async () => {
  const tenantId = await platform.tenant()
  const membership = { tenantId, role: 'owner', permissions: ['payload:read'] } as const
  const id = await createUser(
    auth,
    {
      email: 'Maya@Example.com',
      name: 'Maya',
      password,
      operator: true,
      permissions: ['payload:read'],
      membership,
    },
    null,
  )
  expect(await findUserId(auth, 'maya@EXAMPLE.com')).toBe(id)
  await login(auth, { email: 'maya@example.com', password, address: newAddress() })
  expect(await listUsers(auth, tenantId)).toEqual([
    {
      id,
      email: 'maya@example.com',
      name: 'Maya',
      status: 'active',
      addressConfirmed: true,
      operator: true,
      permissions: ['payload:read'],
      memberships: [{ ...membership, withheld: [] }],
      lastLoginAt: auth.now(),
      createdAt: expect.any(Date),
    },
  ])
})

test('of the people of a tenant, a list shows nothing of their other tenants', async () => {
  const [a, b] = [await platform.tenant(), await platform.tenant()]
  const person = await addMemberOf(a, 'member')
  await auth.database.query(
    'INSERT INTO public.user_organizations (user_id, organization_id) SELECT $1, id FROM public.organizations WHERE slug = $2',
    [person.id, b],
  )
  const inB = await listUsers(auth, b)
  expect(inB.map(({ memberships }) => memberships.map(({ tenantId }) => tenantId))).toEqual([[b]])
  const all = await listUsers(auth)
  expect(all.find(({ id }) => id === person.id)?.memberships).toHaveLength(2)
})

test('an address has one account, also when two make it at the same moment', async () => {
  const email = 'twice@example.com'
  const made = await Promise.allSettled([
    createUser(auth, { email, password }, null),
    createUser(auth, { email: 'Twice@example.com', password }, null),
  ])
  expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  await expect(createUser(auth, { email, password }, null)).rejects.toThrow(UserExistsError)
})

describe('no account is made', () => {
  test('with what cannot be', async () => {
    const email = 'new@example.com'
    const refused = async (user: object, error: new (...args: never[]) => Error) =>
      await expect(createUser(auth, { email, password, ...user }, null)).rejects.toThrow(error)
    await refused({ email: 'new' }, InvalidAccountError)
    await refused({ name: '\n' }, InvalidAccountError)
    await refused({ password: 'short' }, InvalidPasswordError)
    await refused({ permissions: ['payload:read'] }, InvalidGrantError)
    await refused({ operator: true, permissions: ['everything'] }, InvalidGrantError)
    await refused({ membership: { tenantId: 'no_such_tenant', role: 'member' } }, UnknownTenantError)
    await refused({ membership: { tenantId: 'no_such_tenant', role: 'boss' } }, InvalidGrantError)
    await expect(findUserId(auth, email)).rejects.toThrow(UnknownUserError)
  })

  test('by who is no operator, and none that may more than its maker', async () => {
    const tenantId = await platform.tenant()
    const owner = await principal(await addMemberOf(tenantId, 'owner'))
    const operator = await principal(await addPerson({ operator: true }))
    const reader = await principal(await addPerson({ operator: true, permissions: ['payload:read'] }))
    const user = { email: 'made@example.com', password }
    const readsPayloads = { operator: true, permissions: ['payload:read'] } as const
    const readsThere = { membership: { tenantId, role: 'member', permissions: ['payload:read'] } } as const
    await allRefused(
      [
        createUser(auth, user, owner),
        createUser(auth, { ...user, membership: { tenantId, role: 'member' } }, owner),
        createUser(auth, { ...user, ...readsPayloads }, operator),
        createUser(auth, { ...user, ...readsThere }, operator),
        setPassword(auth, operator.id, password, owner),
        disableUser(auth, operator.id, owner),
        enableUser(auth, operator.id, owner),
      ],
      ForbiddenError,
    )
    await createUser(auth, { ...user, ...readsPayloads }, reader)
  })
})

describe('an operator who does not read payloads', () => {
  test('makes an owner who does not either', async () => {
    const tenantId = await platform.tenant()
    const by = await principal(await addPerson({ operator: true }))
    const email = 'first-owner@example.com'
    await createUser(auth, { email, password, membership: { tenantId, role: 'owner' } }, by)
    const made = await principal({ id: '', email })
    expect(can(made, 'people:write', tenantId)).toBe(true)
    expect(can(made, 'payload:read', tenantId)).toBe(false)
  })

  test('sets the passwords of those who read none, and of nobody else', async () => {
    const tenantId = await platform.tenant()
    const by = await principal(await addPerson({ operator: true }))
    const next = 'a whale in the well'
    const readers = [
      await addMemberOf(tenantId, 'owner'),
      await addMemberOf(tenantId, 'member', ['payload:read']),
      await addPerson({ operator: true, permissions: ['payload:read'] }),
    ]
    await allRefused(
      readers.map(({ id }) => setPassword(auth, id, next, by)),
      ForbiddenError,
    )
    for (const one of readers) await principal(one)
    for (const one of [await addMemberOf(tenantId, 'admin'), await addPerson({ operator: true })]) {
      await setPassword(auth, one.id, next, by)
      await login(auth, { email: one.email, password: next, address: newAddress() })
    }
    const reader = await principal(readers[2]!)
    await setPassword(auth, readers[0]!.id, next, reader)
    await setPassword(auth, readers[1]!.id, next, null)
  })
})

test('who is not there is neither disabled nor enabled', async () => {
  for (const id of ['00000000-0000-4000-8000-000000000000', 'nonsense']) {
    await expect(disableUser(auth, id, null)).rejects.toThrow(UnknownUserError)
    await expect(enableUser(auth, id, null)).rejects.toThrow(UnknownUserError)
  }
})
