/**
 * Into the queue. Callers that trigger at the same time share statements: what arrives while a flush is under way
 * leaves with the next one. Nobody waits on a timer, and nobody sees it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../db/database.ts'
import type { Transaction } from '../../db/transaction.ts'
import type { RunHandle, RunRequest } from '../../task/run.ts'
import type { Boss } from './boss.ts'
import { claimKeys, type KeyClaim } from './idempotency.ts'
import { toJob } from './job.ts'

interface Waiting {
  requests: readonly RunRequest[]
  resolve(handles: RunHandle[]): void
  reject(error: unknown): void
}

/** Enough to keep the database busy, few enough that callers really share. */
const flushesAtOnce = 2
const maxRunsPerFlush = 1_000
/** About 8 s: a restart of Postgres, and no long pause once it is back. */
const connectionRetriesMs = [50, 200, 500, 1_000, 1_000, 1_000, 2_000, 2_000]

export class Enqueuer {
  readonly #database: Database
  readonly #boss: Boss
  readonly #flushing = new Set<Promise<void>>()
  #waiting: Waiting[] = []
  #scheduled = false

  constructor(database: Database, boss: Boss) {
    this.#database = database
    this.#boss = boss
  }

  enqueue(requests: readonly RunRequest[]): Promise<RunHandle[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ requests, resolve, reject })
      this.#schedule()
    })
  }

  /** With the caller's transaction: no sharing, no retry; it commits or not as a whole. */
  async enqueueIn(transaction: Transaction, requests: readonly RunRequest[]): Promise<RunHandle[]> {
    for (const taskId of new Set(requests.map((request) => request.taskId)))
      await this.#boss.ensureQueue(taskId)
    const execute = (text: string, values: readonly unknown[] = []) =>
      transaction.executeAsPlatform<Record<string, unknown>>(text, values)
    const handles = await this.#insert(requests, execute)
    await dropEnded(requests.filter(isRepeatable), execute)
    return handles
  }

  /** Answers when everything that was accepted is in the database or was refused. */
  async drain(): Promise<void> {
    while (this.#waiting.length > 0 || this.#flushing.size > 0) {
      this.#flush()
      await Promise.race(this.#flushing)
    }
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // Everything triggered in this turn of the event loop travels together.
    setImmediate(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#waiting.length > 0 && this.#flushing.size < flushesAtOnce) {
      const batch = this.#takeBatch()
      const flushing: Promise<void> = this.#write(batch).finally(() => {
        this.#flushing.delete(flushing)
        if (this.#waiting.length > 0) this.#schedule()
      })
      this.#flushing.add(flushing)
    }
  }

  #takeBatch(): Waiting[] {
    let runs = 0
    let count = 0
    for (const { requests } of this.#waiting) {
      if (count > 0 && runs + requests.length > maxRunsPerFlush) break
      runs += requests.length
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  async #write(batch: Waiting[]): Promise<void> {
    try {
      const handles = await this.#writeSurely(batch.flatMap(({ requests }) => requests))
      let taken = 0
      for (const { requests, resolve } of batch) {
        resolve(handles.slice(taken, taken + requests.length))
        taken += requests.length
      }
    } catch (error) {
      if (batch.length === 1 || isConnectionFailure(error)) {
        for (const { reject } of batch) reject(error)
        return
      }
      // One caller's refused row must not fail the others: each goes again on its own. Ids were chosen before the
      // first try, so whatever had arrived is not queued twice.
      await Promise.all(batch.map((one) => this.#write([one])))
    }
  }

  async #writeSurely(requests: readonly RunRequest[]): Promise<RunHandle[]> {
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.#writeOnce(requests, failures > 0)
      } catch (error) {
        const delay = connectionRetriesMs[failures]
        if (delay === undefined || !isConnectionFailure(error)) throw error
        await sleep(delay)
      }
    }
  }

  async #writeOnce(requests: readonly RunRequest[], again: boolean): Promise<RunHandle[]> {
    const oneStatement = requests.every(
      ({ taskId, idempotency, repeatable }) => taskId === requests[0]!.taskId && !idempotency && !repeatable,
    )
    if (oneStatement && !again) return await this.#insert(requests, null)
    for (const taskId of new Set(requests.map((request) => request.taskId)))
      await this.#boss.ensureQueue(taskId)
    const client = await this.#database.pool.connect()
    let broken = true
    try {
      await client.query('BEGIN')
      const execute: Execute = async (text, values = []) => {
        const { rows } = await client.query(text, [...values])
        return { rows }
      }
      const handles = await this.#insert(requests, execute)
      // What was sent before may have arrived, run and ended.
      await dropEnded(again ? requests : requests.filter(isRepeatable), execute)
      await client.query('COMMIT')
      broken = false
      return handles
    } catch (error) {
      broken = await client.query('ROLLBACK').then(
        () => false,
        () => true,
      )
      throw error
    } finally {
      client.release(broken)
    }
  }

  async #insert(requests: readonly RunRequest[], execute: Execute | null): Promise<RunHandle[]> {
    const keyed = requests.filter((request) => request.idempotency !== null)
    const claims: Map<RunRequest, KeyClaim> =
      keyed.length > 0 && execute ? await claimKeys(keyed, execute) : new Map()
    const fresh = requests.filter((request) => claims.get(request)?.fresh ?? true)
    for (const [taskId, group] of Map.groupBy(fresh, (request) => request.taskId)) {
      const jobs = group.map((request) => toJob(request))
      await this.#boss.insert(
        taskId,
        jobs,
        execute
          ? { executeSql: async (text, values) => ({ rows: (await execute(text, values)).rows }) }
          : undefined,
      )
    }
    return requests.map((request) => ({ id: claims.get(request)?.runId ?? request.id }))
  }
}

export type Execute = (
  text: string,
  values?: readonly unknown[],
) => Promise<{ rows: Record<string, unknown>[] }>

/**
 * An id that is in the queue is not queued twice; one whose run has ended has left nothing in the queue that another
 * insert would meet. After the insert, and so with a snapshot of its own: a run that ended before is surely seen.
 * Index: the primary keys.
 */
const dropEndedSql = `
  DELETE FROM pgboss.job AS job USING unnest($1::text[], $2::uuid[]) AS asked (name, id)
  WHERE job.name = asked.name AND job.id = asked.id
    AND EXISTS (SELECT FROM public.platform_runs AS ended WHERE ended.id = asked.id)`

async function dropEnded(requests: readonly RunRequest[], execute: Execute): Promise<void> {
  if (requests.length === 0) return
  await execute(dropEndedSql, [requests.map(({ taskId }) => taskId), requests.map(({ id }) => id)])
}

function isRepeatable({ repeatable }: RunRequest): boolean {
  return repeatable === true
}

/** The statement may or may not have arrived; SQLSTATE class 08 and 57P0x, or no SQLSTATE at all. */
function isConnectionFailure(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  if (/^(08|57P0[123])/.test(code) || /^E[A-Z]+$/.test(code)) return true
  return /^Connection terminated|Client has encountered a connection error|Client was closed/.test(
    error.message,
  )
}
