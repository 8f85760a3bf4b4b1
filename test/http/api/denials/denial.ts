/** Of every route: what it needs, and what those are told who lack it. Routes are added to the lists beside this file. */
import type { Permission } from '../../../../src/auth/permissions.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Stage {
  /** The tenant whose things are asked for. */
  own: string
  /** One of its runs, which is open; and one that has failed. */
  runId: string
  failedId: string
}

export interface Ask {
  /** Below /api/v1. */
  path: string
  body?: unknown
}

export interface Denial {
  /** As the document of the API names it. */
  route: `${Method} /${string}`
  /** Null: whoever has signed in may, as far as it is about themselves. */
  permission: Permission | null
  /** Something of the tenant's that an operator can do; asked for once by each who may not before. */
  ask(stage: Stage): Ask | Promise<Ask>
  /**
   * What another tenant's owner is told, and a key of it with every scope: that there is no such thing, that they may
   * not, or an answer in which there is nothing of the tenant.
   */
  neighbour: 404 | 403 | 'nothing'
  /** It is about all tenants at once, so that the tenant's owner may not either. */
  everywhere?: true
  /** What a key of the tenant is told that has every scope but this one; 404 where it cannot even see the thing. */
  lacking?: 404
}

/** For everybody, or asked in another test; and why. */
export interface OpenRoute {
  route: Denial['route']
  open: string
}
