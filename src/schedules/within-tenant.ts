/**
 * What code inside a tenant's context may do with schedules: read and change its tenant's. The tables are the
 * platform's, so it is done outside of the context, and commits on its own.
 */
import { leaveScopes } from '../db/scope.ts'
import { refuseOtherTenants, surroundingTenant, withinTenant } from '../tenants/surrounding.ts'
import type { Schedules } from './schedules.ts'

const what = 'Schedules'

export function withinTenantOnly(schedules: Schedules): Schedules {
  /** `tenantId` undefined: for all tenants. */
  const own = async <T>(tenantId: string | undefined, call: string, fn: () => Promise<T>): Promise<T> => {
    refuseOtherTenants(tenantId, `schedules.${call}`, what)
    return await leaveScopes(fn)
  }
  return {
    async list(options = {}) {
      const narrowed = withinTenant(options, surroundingTenant('schedules.list'), what)
      return await leaveScopes(() => schedules.list(narrowed))
    },
    set: (tenantId, ...rest) => own(tenantId, 'set', () => schedules.set(tenantId, ...rest)),
    reset: (tenantId, name) => own(tenantId, 'reset', () => schedules.reset(tenantId, name)),
    pause: (name, of = {}) => own(of.tenantId, 'pause', () => schedules.pause(name, of)),
    resume: (name, of = {}) => own(of.tenantId, 'resume', () => schedules.resume(name, of)),
    run: (name, of = {}) => own(of.tenantId, 'run', () => schedules.run(name, of)),
  }
}
