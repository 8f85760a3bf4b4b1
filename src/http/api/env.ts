/** What every route of the API has at hand, and the one way to make a group of routes. */
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { Actor } from '../../audit/audit.ts'
import { type Permission, type Principal, requirePermission, tenantsWhere } from '../../auth/index.ts'
import { ForbiddenError } from '../../errors.ts'
import type { Platform } from '../../platform.ts'
import { invalidRequest } from './errors.ts'

export interface ApiEnv {
  Variables: {
    platform: Platform
    /** Who asks. Set before any route is reached (authenticate.ts). */
    principal: Principal
  }
}

export type ApiContext = Context<ApiEnv>
export type ApiRoutes = OpenAPIHono<ApiEnv>

/** What a request brings that its schema refuses is answered with the issues. */
export function newRoutes(): ApiRoutes {
  return new OpenAPIHono<ApiEnv>({
    defaultHook: (result) => {
      if (!result.success) throw invalidRequest(result.error)
    },
  })
}

/** @throws ForbiddenError unless whoever asks may do this for the tenant; null: for all tenants at once. */
export function permit(context: ApiContext, permission: Permission, tenantId: string | null): void {
  requirePermission(context.get('principal'), permission, tenantId)
}

/** Whose runs (keys, entries ...) whoever asks may see: null for all tenants', and otherwise those of these. */
export function tenantsWithin(context: ApiContext, permission: Permission): readonly string[] | null {
  const tenants = tenantsWhere(context.get('principal'), permission)
  return tenants === 'all' ? null : tenants
}

/** As `tenantsWithin`. @throws ForbiddenError for whoever can do it nowhere, rather than show them that there is nothing. */
export function permittedTenants(context: ApiContext, permission: Permission): readonly string[] | null {
  const within = tenantsWithin(context, permission)
  if (within?.length === 0) throw new ForbiddenError(permission)
  return within
}

/** Who asks, as the audit log names them. */
export function actorOf(context: ApiContext): Actor {
  const { kind, id, name } = context.get('principal')
  return { kind, id, name }
}
