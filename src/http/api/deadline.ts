/** How long a request may take. What looks for many things stops then, or when nobody waits for the answer any more. */
import type { ApiContext } from './env.ts'

/** The preview of a replay of a hundred thousand runs is what takes longest. */
export const deadlineMs = 60_000

export function untilDeadline({ req }: ApiContext): AbortSignal {
  return AbortSignal.any([req.raw.signal, AbortSignal.timeout(deadlineMs)])
}
