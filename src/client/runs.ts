/** Runs, over HTTP: reading, waiting for and ending them. */
import type { Connection } from './connection.ts'
import { JobsWaitTimeoutError } from './errors.ts'
import { pause } from './pause.ts'
import type { ClientLogPage, ClientRun, ClientRunDetails, ClientRunFilter, ClientRunPage } from './types.ts'

export interface ClientWaitOptions {
  /** 10 minutes by default. The run goes on. */
  timeoutMs?: number
  signal?: AbortSignal
}

export interface ClientRuns {
  /** One run, with its failed attempts and its progress. */
  get(runId: string): Promise<ClientRunDetails>
  /** A page of runs, newest first; 50 by default. */
  list(filter?: ClientRunFilter): Promise<ClientRunPage>
  /** Answers when the run has ended, well or not. @throws JobsWaitTimeoutError. */
  wait(runId: string, options?: ClientWaitOptions): Promise<ClientRunDetails>
  /** Ends an open run; a running one gets its signal. False: it had ended, be it by a try whose answer was lost. */
  cancel(runId: string): Promise<boolean>
  /** A page of what the run has logged, oldest line first; 200 lines by default. */
  logs(runId: string, options?: { after?: number; limit?: number }): Promise<ClientLogPage>
}

const usualWaitMs = 600_000
const firstPauseMs = 200
const longestPauseMs = 2_000
/** What a timer holds. */
const longestTimerMs = 2 ** 31 - 1

export function createClientRuns(connection: Connection): ClientRuns {
  const get = (runId: string, signal?: AbortSignal) =>
    connection.send<ClientRunDetails>({ method: 'GET', path: pathOf(runId), ...(signal && { signal }) })

  return {
    get: (runId) => get(runId),

    list: (filter = {}) => connection.send({ method: 'GET', path: '/runs', query: toQuery(filter) }),

    async wait(runId, { timeoutMs = usualWaitMs, signal } = {}) {
      // Also where the API does not answer at all.
      const limit = AbortSignal.timeout(Math.min(timeoutMs, longestTimerMs))
      const stop = signal ? AbortSignal.any([signal, limit]) : limit
      try {
        for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 1.5)) {
          const run = await get(runId, stop)
          if (hasEnded(run)) return run
          await pause(pauseMs, stop)
        }
      } catch (error) {
        if (limit.aborted && !signal?.aborted) throw new JobsWaitTimeoutError(runId, timeoutMs)
        throw error
      }
    },

    async cancel(runId) {
      const path = `${pathOf(runId)}/cancel`
      return (await connection.send<{ cancelled: boolean }>({ method: 'POST', path, repeatable: true }))
        .cancelled
    },

    logs: (runId, options = {}) =>
      connection.send({ method: 'GET', path: `${pathOf(runId)}/logs`, query: toQuery(options) }),
  }
}

function pathOf(runId: string): string {
  return `/runs/${encodeURIComponent(runId)}`
}

const finalStates: readonly string[] = ['completed', 'failed', 'cancelled', 'expired']

function hasEnded({ state }: ClientRun): boolean {
  return finalStates.includes(state)
}

function toQuery(fields: object): URLSearchParams {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) {
    for (const one of [value].flat()) {
      if (one !== undefined) query.append(name, one instanceof Date ? one.toISOString() : String(one))
    }
  }
  return query
}
