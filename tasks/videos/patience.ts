/** How the tasks of videos wait for a provider: no longer than this, and without holding a worker. */
import { readServiceError, snooze } from '@cgk-platform/jobs'

/** What a provider has not finished by then, it has lost. Mux takes at most 12 hours of video. */
export const patienceHours = 24

/**
 * A request without an answer may still be at work, or done and not yet in the provider's list. Only this much later does
 * somebody send it again. Longer than an attempt of the tasks that send such requests, so their sender is gone by then.
 */
export const requestSeconds = 120

/** The first look comes soon; then less and less often. The provider's webhook is faster, where it reaches us. */
export function waitForProvider(waitedSeconds: number): never {
  snooze(Math.round(Math.min(300, Math.max(5, waitedSeconds / 2)) * 1_000))
}

/** Transient errors while a provider is waited for add up: the attempts last for most of a day. */
export const patientRetry = { maxAttempts: 12, minDelay: '10s', maxDelay: '2h', factor: 3 } as const

/** The last attempt says in the row that nobody tries any more. A provider's success that comes later still counts. */
export async function orGiveUp<Output>(
  { attempt, maxAttempts }: { attempt: number; maxAttempts: number },
  work: () => Promise<Output>,
  giveUp: (reason: string) => PromiseLike<unknown>,
): Promise<Output> {
  try {
    return await work()
  } catch (error) {
    const failure = readServiceError(error)
    if (failure?.kind === 'transient' && attempt >= maxAttempts) {
      await giveUp(reasonOf(failure.message) ?? failure.code)
    }
    throw error
  }
}

/** What became of a request that failed. */
export function fateOf(error: unknown): 'refused' | 'answered' | 'unknown' {
  const failure = readServiceError(error)
  if (!failure) return 'unknown'
  if (failure.kind !== 'transient') return 'refused'
  const { status } = error as { status?: unknown }
  // 408, 502 and 504 are said by what stands before the provider, which knows no more than we do.
  return typeof status === 'number' && ![408, 502, 504].includes(status) ? 'answered' : 'unknown'
}

/** What a provider says about a failure, fit to be kept: a link may be signed, and then it is a secret. */
export function reasonOf(message: string | null | undefined): string | null {
  return message?.replace(/\bhttps?:\/\/[^\s"'<>]+/gi, '[link]').slice(0, 1_000) || null
}
