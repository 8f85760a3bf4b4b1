/**
 * How much of a run's log is kept: its newest lines. A run that fails says why at its end, and one that comes back every
 * 30 seconds for a week would fill any bound on its first day.
 */
export const maxLines = 1_000
/** Characters, as the lines stand in the process's log. */
export const maxSize = 1_000_000

/** The same for what one process has not stored yet, of all its runs, while Postgres is away. */
export const maxWaitingLines = 10_000
export const maxWaitingSize = 16_000_000
