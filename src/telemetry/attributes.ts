/** The attributes of spans and metrics: OpenTelemetry's own names where there are any, and `cgk.` for the rest. */

export const taskAttribute = 'cgk.task.id'
export const tenantAttribute = 'cgk.tenant.id'
export const runAttribute = 'cgk.run.id'
export const attemptAttribute = 'cgk.attempt'
export const outcomeAttribute = 'cgk.outcome'
export const serviceAttribute = 'cgk.service'

/** What the conventions call the broker. */
export const messagingSystem = 'cgk'

/** The instrumentation scope of everything that comes from here. */
export const scopeName = '@cgk-platform/jobs'
