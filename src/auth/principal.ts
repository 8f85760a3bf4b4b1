/** Who asks: a person who has signed in, or an API key. What they may is said by permissions.ts. */
import type { Permission, TenantRole } from './permissions.ts'

export interface Membership {
  readonly role: TenantRole
  /** Beyond the role. */
  readonly permissions: readonly Permission[]
  /** Of the role, what they do not have: whoever gave it did not have it either. */
  readonly withheld: readonly Permission[]
}

/** What decides what a person may. */
export interface UserStanding {
  readonly kind: 'user'
  readonly operator: boolean
  /** Of an operator, beyond the role, for every tenant. */
  readonly permissions: readonly Permission[]
  /** By tenantId. A Map, for `constructor` is a slug, too. */
  readonly memberships: ReadonlyMap<string, Membership>
}

export interface UserPrincipal extends UserStanding {
  /** UUID of the user. */
  readonly id: string
  /** The e-mail address, for the audit log. */
  readonly name: string
  /** Has the platform vouched for that address? If not, only one of the tenant's people has (invitations.ts). */
  readonly addressConfirmed: boolean
  /** The tenant chosen with `switchTenant`; null where none is, or where there is no access to it any more. */
  readonly tenantId: string | null
  readonly sessionId: string
}

export interface KeyPrincipal {
  readonly kind: 'key'
  /** UUID of the key. */
  readonly id: string
  /** Its name and prefix, for the audit log: `deploy (cgk_live_1a2b3c4d)`. */
  readonly name: string
  /** The tenant that it belongs to; null: a key of the platform, good for every tenant. */
  readonly tenantId: string | null
  readonly scopes: readonly Permission[]
}

export type Principal = UserPrincipal | KeyPrincipal

/** Who changes people or keys; null: whoever has the database itself in hand, as the command line does, and so may everything. */
export type Actor = UserPrincipal | null
