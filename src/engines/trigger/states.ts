/** Trigger.dev's word for where a run is, and ours. */
import type { RunState } from '../../task/run.ts'
import type { WaitingNote } from './waiting-note.ts'

/** What Trigger.dev's API answers, all of it. */
export const apiStatuses = [
  'PENDING_VERSION',
  'QUEUED',
  'DEQUEUED',
  'EXECUTING',
  'WAITING',
  'DELAYED',
  'COMPLETED',
  'CANCELED',
  'FAILED',
  'CRASHED',
  'SYSTEM_FAILURE',
  'EXPIRED',
  'TIMED_OUT',
] as const
export type ApiStatus = (typeof apiStatuses)[number]

export interface Seen {
  status: ApiStatus
  /** Attempts that have begun, the one that runs included. */
  attempts: number
  /** What the run itself says it waits for. */
  waiting: WaitingNote | null
  /** The last attempt has failed, and another follows: Trigger.dev says EXECUTING or QUEUED of such a run. */
  failedLast: boolean
}

export function toRunState({ status, attempts, waiting, failedLast }: Seen): RunState {
  switch (status) {
    case 'DELAYED':
      return 'scheduled'
    case 'PENDING_VERSION':
    case 'QUEUED':
    case 'DEQUEUED':
      if (waiting) return waiting.state
      if (failedLast) return 'retrying'
      // It has begun, has waited, and queues for a place to go on in.
      return attempts > 0 ? 'running' : 'queued'
    case 'EXECUTING':
    case 'WAITING':
      if (waiting) return waiting.state
      return failedLast ? 'retrying' : 'running'
    case 'COMPLETED':
      return 'completed'
    case 'CANCELED':
      return 'cancelled'
    case 'EXPIRED':
      return 'expired'
    // `isCompleted` and `isFailed` of the API know nothing of some of these; the status does.
    case 'FAILED':
    case 'CRASHED':
    case 'SYSTEM_FAILURE':
    case 'TIMED_OUT':
      return 'failed'
  }
}

const queuing: readonly ApiStatus[] = ['PENDING_VERSION', 'QUEUED', 'DEQUEUED']
const begun: readonly ApiStatus[] = ['EXECUTING', 'WAITING']

/** Which statuses a run of this state may have. Not the other way round: toRunState decides. */
const possible: Record<RunState, readonly ApiStatus[]> = {
  scheduled: ['DELAYED', ...queuing, ...begun],
  held: [...queuing, ...begun],
  queued: queuing,
  running: [...queuing, ...begun],
  retrying: [...queuing, ...begun],
  completed: ['COMPLETED'],
  failed: ['FAILED', 'CRASHED', 'SYSTEM_FAILURE', 'TIMED_OUT'],
  cancelled: ['CANCELED'],
  expired: ['EXPIRED'],
}

export function toStatuses(states: readonly RunState[]): ApiStatus[] {
  return [...new Set(states.flatMap((state) => possible[state]))]
}
