/** The table of who may what, cell by cell, as a person would write it down. */
import { describe, expect, test } from 'vitest'
import {
  beyond,
  can,
  keyScopes,
  lacking,
  type Permission,
  permissions,
  requirePermission,
  type TenantRole,
  tenantPermissions,
  tenantsWhere,
  withheldBy,
} from '../../src/auth/permissions.ts'
import type { KeyPrincipal, UserPrincipal } from '../../src/auth/principal.ts'
import { ForbiddenError } from '../../src/errors.ts'

/** P: platform-wide, and so in every tenant. T: in the own tenant alone. -: not. */
const table: Record<Permission, [operator: string, owner: string, admin: string, member: string]> = {
  'runs:read': ['P', 'T', 'T', 'T'],
  'runs:trigger': ['P', 'T', 'T', 'T'],
  'runs:replay': ['P', 'T', 'T', '-'],
  'runs:cancel': ['P', 'T', 'T', '-'],
  'failures:write': ['P', 'T', 'T', '-'],
  'schedules:write': ['P', 'T', 'T', '-'],
  'credentials:read': ['P', 'T', 'T', 'T'],
  'credentials:write': ['P', 'T', 'T', '-'],
  'payload:read': ['-', 'T', '-', '-'],
  'people:write': ['P', 'T', 'T', '-'],
  'audit:read': ['P', 'T', 'T', '-'],
  'metrics:read': ['P', '-', '-', '-'],
  'tenants:write': ['P', '-', '-', '-'],
}

const own = 'constructor' // A slug that every plain object has.
const reaches = { P: [null, own, 'other'], T: [own], '-': [] } as Record<string, (string | null)[]>

const nobody: UserPrincipal = {
  kind: 'user',
  id: '1',
  name: 'a@b.test',
  addressConfirmed: true,
  tenantId: null,
  operator: false,
  permissions: [],
  memberships: new Map(),
  sessionId: '2',
}
const operator = { ...nobody, operator: true }
const person = (role: TenantRole, extra: Permission[] = []): UserPrincipal => ({
  ...nobody,
  memberships: new Map([[own, { role, permissions: extra, withheld: [] }]]),
})
const key = (tenantId: string | null, scopes: readonly Permission[]): KeyPrincipal => ({
  kind: 'key',
  id: '3',
  name: 'k',
  tenantId,
  scopes,
})

function reached(principal: UserPrincipal | KeyPrincipal, permission: Permission): (string | null)[] {
  return [null, own, 'other'].filter((tenantId) => can(principal, permission, tenantId))
}

test.each(permissions)('%s', (permission) => {
  const people = [operator, person('owner'), person('admin'), person('member')]
  expect(people.map((one) => reached(one, permission))).toEqual(
    table[permission].map((cell) => reaches[cell]),
  )
  expect(reached(nobody, permission)).toEqual([])
})

test.each(permissions)('a key with the scope %s, and with all others', (permission) => {
  const isScope = permission !== 'people:write'
  const isOfTenants = !['metrics:read', 'tenants:write'].includes(permission)
  expect(reached(key(null, permissions), permission)).toEqual(isScope ? [null, own, 'other'] : [])
  expect(reached(key(own, permissions), permission)).toEqual(isScope && isOfTenants ? [own] : [])
  const others = permissions.filter((one) => one !== permission)
  expect(reached(key(null, others), permission)).toEqual([])
  expect(reached(key(own, others), permission)).toEqual([])
})

test.each(permissions)('%s beyond the role reaches as far as the role', (permission) => {
  expect(reached({ ...operator, permissions: [permission] }, permission)).toEqual([null, own, 'other'])
  const isOfTenants = tenantPermissions.includes(permission)
  expect(reached(person('member', [permission]), permission)).toEqual(isOfTenants ? [own] : [])
  // What an operator had been given counts no more when they are none.
  expect(reached({ ...nobody, permissions: [permission] }, permission)).toEqual([])
})

test('lists reach as far as the permission does', () => {
  const both = { ...person('owner'), memberships: new Map(person('owner').memberships) }
  both.memberships.set('other', { role: 'member', permissions: [], withheld: [] })
  expect(tenantsWhere(both, 'runs:read')).toEqual([own, 'other'])
  expect(tenantsWhere(both, 'runs:cancel')).toEqual([own])
  expect(tenantsWhere(operator, 'runs:read')).toBe('all')
  expect(tenantsWhere(operator, 'payload:read')).toEqual([])
  expect(tenantsWhere(key(own, ['runs:read']), 'runs:read')).toEqual([own])
  expect(tenantsWhere(key(own, ['runs:read']), 'runs:cancel')).toEqual([])
  expect(tenantsWhere(key(null, keyScopes), 'runs:read')).toBe('all')
})

test('requirePermission names what is missing, and not whether the tenant exists', () => {
  expect(() => requirePermission(person('member'), 'runs:read', own)).not.toThrow()
  expect(() => requirePermission(person('member'), 'runs:read', 'other')).toThrow(ForbiddenError)
  expect(() => requirePermission(person('owner'), 'tenants:write', own)).toThrow(/tenants:write/)
})

describe('nobody gives what is above them:', () => {
  const cases: [
    who: string,
    by: UserPrincipal,
    role: TenantRole,
    extra: Permission[],
    missing: string | null,
  ][] = [
    ['an owner makes an owner', person('owner'), 'owner', ['payload:read'], null],
    ['an admin makes an admin', person('admin'), 'admin', [], null],
    ['an admin makes an owner', person('admin'), 'owner', [], 'people:write'],
    [
      'an admin with every permission makes an owner',
      person('admin', [...permissions]),
      'owner',
      [],
      'people:write',
    ],
    ['an admin lets a member read payloads', person('admin'), 'member', ['payload:read'], 'payload:read'],
    ['a member makes a member', person('member'), 'member', [], 'people:write'],
    ['a member who may invites a member', person('member', ['people:write']), 'member', [], null],
    ['a member who may invites an admin', person('member', ['people:write']), 'admin', [], 'people:write'],
    ['an operator makes an owner', operator, 'owner', [], null],
    ['an operator lets somebody read payloads', operator, 'member', ['payload:read'], 'payload:read'],
  ]
  test.each(cases)('%s', (_, by, role, extra, missing) => {
    expect(lacking(by, { role, permissions: extra }, own)).toBe(missing)
    if (!by.operator) expect(lacking(by, { role, permissions: extra }, 'other')).toBe('people:write')
    if (!by.operator) expect(lacking(by, { role, permissions: extra }, null)).toBe('people:write')
  })
})

describe('of a role, what its giver lacks is withheld:', () => {
  const reader = { ...operator, permissions: ['payload:read'] as const }
  const lesser: UserPrincipal = {
    ...nobody,
    memberships: new Map([[own, { role: 'owner', permissions: [], withheld: ['payload:read'] }]]),
  }

  test.each([
    ['an operator', operator, 'owner', ['payload:read']],
    ['an operator who reads payloads', reader, 'owner', []],
    ['an operator', operator, 'admin', []],
    ['an owner', person('owner'), 'owner', []],
    ['an owner of whom it is withheld', lesser, 'owner', ['payload:read']],
    ['the platform itself', null, 'owner', []],
  ] as const)('%s', (_, by, role, withheld) => {
    expect(withheldBy(by, role, own)).toEqual(withheld)
  })

  test.each(tenantPermissions)('%s, which its holder then does not have', (permission) => {
    const withheld = (extra: Permission[]): UserPrincipal => ({
      ...nobody,
      memberships: new Map([[own, { role: 'owner', permissions: extra, withheld: [permission] }]]),
    })
    expect(reached(withheld([]), permission)).toEqual([])
    for (const other of tenantPermissions.filter((one) => one !== permission)) {
      expect(reached(withheld([]), other)).toEqual([own])
    }
    // But that somebody gives it to them, and not with the role.
    expect(reached(withheld([permission]), permission)).toEqual([own])
  })

  test('and nobody is to sign in as who has more', () => {
    expect(beyond(operator, person('owner'))).toBe('payload:read')
    expect(beyond(operator, person('member', ['payload:read']))).toBe('payload:read')
    expect(beyond(operator, reader)).toBe('payload:read')
    expect(beyond(reader, person('owner'))).toBeNull()
    for (const one of [operator, lesser, person('admin'), nobody]) expect(beyond(operator, one)).toBeNull()
    expect(beyond(person('admin'), person('owner'))).toBe('payload:read')
  })
})
