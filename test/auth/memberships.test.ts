/** Who belongs where, who may change that, and that a tenant always has an owner. */
import { randomUUID } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  addMember,
  can,
  changeMember,
  disableUser,
  type Permission,
  principalOf,
  removeMember,
  type TenantRole,
} from '../../src/auth/index.ts'
import { getUserTenants, switchTenant, validateTenantAccess } from '../../src/default-platform.ts'
import {
  ForbiddenError,
  InvalidGrantError,
  InvalidTenantSlugError,
  LastOwnerError,
  UnknownTenantError,
  UnknownUserError,
} from '../../src/errors.ts'
import {
  addMemberOf,
  addPerson,
  allRefused,
  auth,
  get,
  type Person,
  platform,
  principal,
  signIn,
  useAuthPlatform,
} from './kit.ts'

useAuthPlatform()

let tenantId: string
let owner: Person
beforeEach(async () => {
  tenantId = await platform.tenant()
  owner = await addMemberOf(tenantId, 'owner')
})

const roleOf = async ({ id }: Person) =>
  (await getUserTenants(id)).find((one) => one.tenantId === tenantId)?.role
const as = (role: TenantRole) => ({ tenantId, role })

describe('the tenants of a user', () => {
  test('are those they belong to, with what they are there', async () => {
    const other = await platform.tenant({ name: 'Other' })
    const person = await addMemberOf(tenantId, 'member', ['payload:read'])
    await addMember(auth, person.id, { tenantId: other, role: 'admin' }, null)
    expect(await getUserTenants(person.id)).toEqual(
      [
        { tenantId, name: tenantId, status: 'active', role: 'member', permissions: ['payload:read'] },
        { tenantId: other, name: 'Other', status: 'active', role: 'admin', permissions: [] },
      ]
        .map((one) => ({ ...one, withheld: [] }))
        .sort((a, b) => (a.tenantId < b.tenantId ? -1 : 1)),
    )
  })

  test('are none for who is disabled, nobody, or an operator who belongs nowhere', async () => {
    await disableUser(auth, owner.id, null)
    for (const { id } of [
      owner,
      { id: randomUUID() },
      { id: "' OR true" },
      await addPerson({ operator: true }),
    ]) {
      expect(await getUserTenants(id)).toEqual([])
    }
  })
})

describe('access', () => {
  test('is what the user is there', async () => {
    expect(await validateTenantAccess(owner.id, tenantId)).toEqual({
      role: 'owner',
      permissions: [],
      withheld: [],
    })
    const operator = await addPerson({ operator: true, permissions: ['payload:read'] })
    expect(await validateTenantAccess(operator.id, tenantId)).toEqual({
      role: 'operator',
      permissions: ['payload:read'],
      withheld: [],
    })
  })

  test('is refused alike for another tenant and for none', async () => {
    const other = await platform.tenant()
    const messages = new Set<string>()
    for (const [userId, slug] of [
      [owner.id, other],
      [owner.id, 'no_such_tenant'],
      [(await addPerson({ operator: true })).id, 'no_such_tenant'],
      [randomUUID(), tenantId],
      ['nonsense', tenantId],
    ] as const) {
      const error = await validateTenantAccess(userId, slug).catch((thrown) => thrown)
      expect(error).toBeInstanceOf(ForbiddenError)
      messages.add(error.message)
    }
    expect(messages.size).toBe(1)
    await expect(validateTenantAccess(owner.id, '../x')).rejects.toThrow(InvalidTenantSlugError)
    await disableUser(auth, owner.id, null)
    await expect(validateTenantAccess(owner.id, tenantId)).rejects.toThrow(ForbiddenError)
  })
})

describe('switching', () => {
  test('makes the session about another tenant of its user', async () => {
    const other = await platform.tenant()
    await addMember(auth, owner.id, { tenantId: other, role: 'member' }, null)
    const [session, another] = [await signIn(owner), await signIn(owner)]
    await switchTenant(session.sessionId, other)
    expect(await principalOf(auth, get(session))).toMatchObject({ tenantId: other })
    expect(await principalOf(auth, get(another))).toMatchObject({ tenantId: null })
    await removeMember(auth, owner.id, other, null)
    expect(await principalOf(auth, get(session))).toMatchObject({ tenantId: null })
  })

  test('is free for an operator', async () => {
    const session = await signIn(await addPerson({ operator: true }))
    await switchTenant(session.sessionId, tenantId)
    expect(await principalOf(auth, get(session))).toMatchObject({ tenantId })
  })

  test('is refused to tenants of others, and with a session that has ended', async () => {
    const other = await platform.tenant()
    const session = await signIn(owner)
    for (const [sessionId, slug] of [
      [session.sessionId, other],
      [session.sessionId, 'no_such_tenant'],
      [randomUUID(), tenantId],
      ['nonsense', tenantId],
    ] as const) {
      await expect(switchTenant(sessionId, slug)).rejects.toThrow(ForbiddenError)
    }
    await expect(switchTenant(session.sessionId, 'Not a slug')).rejects.toThrow(InvalidTenantSlugError)
    await platform.advance('12h')
    await expect(switchTenant(session.sessionId, tenantId)).rejects.toThrow(ForbiddenError)
  })
})

describe('the last owner', () => {
  test('is neither demoted nor removed, by nobody', async () => {
    for (const by of [null, await principal(owner)]) {
      await expect(changeMember(auth, owner.id, as('admin'), by)).rejects.toThrow(LastOwnerError)
      await expect(removeMember(auth, owner.id, tenantId, by)).rejects.toThrow(LastOwnerError)
    }
    await changeMember(auth, owner.id, { ...as('owner'), permissions: ['runs:read'] }, null)
    expect(await roleOf(owner)).toBe('owner')
  })

  test('may go once there is another one who can sign in', async () => {
    const second = await addMemberOf(tenantId, 'owner')
    await disableUser(auth, second.id, null)
    await expect(removeMember(auth, owner.id, tenantId, null)).rejects.toThrow(LastOwnerError)
    const third = await addMemberOf(tenantId, 'owner')
    await removeMember(auth, owner.id, tenantId, await principal(owner))
    expect([await roleOf(owner), await roleOf(third)]).toEqual([undefined, 'owner'])
  })

  test('of two who go at the same moment, one stays', async () => {
    for (let round = 0; round < 5; round += 1) {
      const slug = await platform.tenant()
      const [a, b] = [await addMemberOf(slug, 'owner'), await addMemberOf(slug, 'owner')]
      const gone = await Promise.allSettled([
        removeMember(auth, a.id, slug, null),
        changeMember(auth, b.id, { tenantId: slug, role: 'member' }, null),
      ])
      const refused = gone.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
      expect(refused).toEqual([expect.any(LastOwnerError)])
    }
  })
})

describe('the people of a tenant', () => {
  test('are changed and removed by an admin, who does not reach an owner', async () => {
    const admin = await principal(await addMemberOf(tenantId, 'admin'))
    const member = await addMemberOf(tenantId, 'member')
    await addMemberOf(tenantId, 'owner')
    await changeMember(auth, member.id, { ...as('admin'), permissions: ['runs:cancel'] }, admin)
    expect(await roleOf(member)).toBe('admin')
    await allRefused(
      [
        changeMember(auth, member.id, as('owner'), admin),
        changeMember(auth, member.id, { ...as('member'), permissions: ['payload:read'] }, admin),
        changeMember(auth, owner.id, as('member'), admin),
        changeMember(auth, admin.id, as('owner'), admin),
        removeMember(auth, owner.id, tenantId, admin),
      ],
      ForbiddenError,
    )
    await removeMember(auth, member.id, tenantId, admin)
    expect(await roleOf(member)).toBeUndefined()
  })

  test('keep what an owner gave them when an admin changes their role', async () => {
    const admin = await principal(await addMemberOf(tenantId, 'admin'))
    const member = await addMemberOf(tenantId, 'member')
    const reading = { permissions: ['payload:read'] } as const
    await changeMember(auth, member.id, { ...as('member'), ...reading }, await principal(owner))
    await changeMember(auth, member.id, { ...as('admin'), ...reading }, admin)
    expect(await validateTenantAccess(member.id, tenantId)).toEqual({
      role: 'admin',
      ...reading,
      withheld: [],
    })
  })

  test('are nothing to members and to people of other tenants', async () => {
    const member = await principal(await addMemberOf(tenantId, 'member'))
    const stranger = await principal(await addMemberOf(await platform.tenant(), 'owner'))
    for (const by of [member, stranger]) {
      await allRefused(
        [
          changeMember(auth, member.id, as('admin'), by),
          changeMember(auth, owner.id, as('member'), by),
          removeMember(auth, owner.id, tenantId, by),
          addMember(auth, stranger.id, as('member'), by),
        ],
        ForbiddenError,
      )
    }
    // Nor do they learn which tenants and users there are.
    await allRefused(
      [
        changeMember(auth, member.id, { tenantId: 'no_such_tenant', role: 'member' }, member),
        removeMember(auth, member.id, 'no_such_tenant', member),
        removeMember(auth, stranger.id, tenantId, stranger),
        removeMember(auth, 'nonsense', tenantId, member),
      ],
      ForbiddenError,
    )
    await removeMember(auth, member.id, tenantId, member)
    expect(await roleOf(member as unknown as Person)).toBeUndefined()
  })

  test('are added by operators alone; others are invited', async () => {
    const person = await addPerson()
    await expect(addMember(auth, person.id, as('member'), await principal(owner))).rejects.toThrow(
      ForbiddenError,
    )
    await addMember(auth, person.id, as('member'), await principal(await addPerson({ operator: true })))
    expect(await roleOf(person)).toBe('member')
    await expect(addMember(auth, person.id, as('owner'), null)).rejects.toThrow(InvalidGrantError)
  })

  test('have a role and permissions that there are, in a tenant that there is', async () => {
    const given = (membership: object) =>
      addMember(auth, owner.id, { ...as('member'), ...membership } as never, null)
    await expect(given({ role: 'operator' })).rejects.toThrow(InvalidGrantError)
    await expect(given({ permissions: ['tenants:write'] })).rejects.toThrow(InvalidGrantError)
    await expect(given({ permissions: ['everything'] })).rejects.toThrow(InvalidGrantError)
    await expect(given({ tenantId: 'no_such_tenant' })).rejects.toThrow(UnknownTenantError)
    for (const id of [randomUUID(), 'nonsense']) {
      await expect(addMember(auth, id, as('member'), null)).rejects.toThrow(UnknownUserError)
      await expect(changeMember(auth, id, as('member'), null)).rejects.toThrow(UnknownUserError)
      await expect(removeMember(auth, id, tenantId, null)).rejects.toThrow(UnknownUserError)
    }
  })
})

describe('an operator, who does not read payloads, comes by no way to read them:', () => {
  const reads = async (person: Person) => can(await principal(person), 'payload:read', tenantId)
  const newOperator = async (permissions: Permission[] = []) =>
    await addPerson({ operator: true, permissions })

  test('not as an owner of their own making, be it by adding or by changing', async () => {
    for (const makes of [
      async (one: Person) => await addMember(auth, one.id, as('owner'), await principal(one)),
      async (one: Person) => {
        await addMember(auth, one.id, as('member'), await principal(one))
        await changeMember(auth, one.id, as('owner'), await principal(one))
      },
    ]) {
      const mallory = await newOperator()
      await makes(mallory)
      expect(await validateTenantAccess(mallory.id, tenantId)).toEqual({
        role: 'owner',
        permissions: [],
        withheld: ['payload:read'],
      })
      expect(await reads(mallory)).toBe(false)
      // Nor do they give it on, to an account of theirs.
      const other = await addMemberOf(tenantId, 'member')
      await changeMember(auth, other.id, as('owner'), await principal(mallory))
      expect(await reads(other)).toBe(false)
      const asked = { ...as('owner'), permissions: ['payload:read'] } as const
      await expect(changeMember(auth, other.id, asked, await principal(mallory))).rejects.toThrow(
        ForbiddenError,
      )
    }
  })

  test('while whoever reads them keeps that, whatever an operator changes, and may give it', async () => {
    const operator = await principal(await newOperator())
    await changeMember(auth, owner.id, as('owner'), operator)
    expect(await reads(owner)).toBe(true)
    const second = await addPerson()
    await addMember(auth, second.id, as('owner'), operator)
    expect(await reads(second)).toBe(false)
    await changeMember(auth, second.id, as('owner'), await principal(owner))
    expect(await reads(second)).toBe(true)
    const third = await addPerson()
    await addMember(auth, third.id, as('owner'), await principal(await newOperator(['payload:read'])))
    expect(await reads(third)).toBe(true)
  })
})
