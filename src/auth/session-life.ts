/** How long a session lasts. */
import ms from 'ms'

/** Unused for that long, it has ended. */
export const idleMs = ms('12h')

/** However much it is used, it ends then. */
export const absoluteMs = ms('14d')
/** The same for Postgres. */
export const absoluteLife = '14 days'

/** What only says when something was last used is not written more often than that. */
export const rewriteAfter = '1 minute'

/** Ended sessions are kept for as long as the address they came from counts as the user's own (login-limits.ts). */
export const keptAfterEnd = '30 days'
