/** What routes about people and keys share: their schemas, and that it is a person who asks. */
import { z } from '@hono/zod-openapi'
import { type Permission, permissions, tenantRoles, type UserPrincipal } from '../../auth/index.ts'
import { ForbiddenError } from '../../errors.ts'
import { problem } from '../problem.ts'
import type { ApiContext } from './env.ts'

export const permission = z.enum(permissions).openapi('Permission')
export const role = z.enum(tenantRoles).openapi('Role')
export const withheld = z
  .array(permission)
  .describe('Of the role, what they do not have: whoever gave it did not have it either.')
export const email = z.string().max(254)
/** Its length and what it may have in it are checked where it is hashed. */
export const password = z.string().max(1_000)
export const personName = z.string().max(200)

/** The person that asks, who has the permission already. Keys never have those that this is asked for. */
export function personOf(context: ApiContext, permission: Permission): UserPrincipal {
  const principal = context.get('principal')
  if (principal.kind === 'key') throw new ForbiddenError(permission)
  return principal
}

/** Whoever has signed in. */
export function signedIn(context: ApiContext): UserPrincipal {
  const principal = context.get('principal')
  if (principal.kind === 'user') return principal
  throw problem({ status: 403, code: 'FORBIDDEN', detail: 'A key has no session: sign in as a person.' })
}
