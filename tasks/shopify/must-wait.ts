import { readServiceError, ServiceHeldError } from '@cgk-platform/jobs'

/**
 * The shop takes no requests for now, and a run that throws this is held and then begins again. Long reading would so
 * never come to its end, since it spends the shop's rate each time: what it has read must be kept first.
 */
export function mustWait(error: unknown): boolean {
  return error instanceof ServiceHeldError || readServiceError(error)?.kind === 'limited'
}
