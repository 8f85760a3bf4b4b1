/**
 * A tick: plans what has come, and hands out what is open. Any number of processes do so, at any time; between them
 * each nominal time makes one run for each tenant.
 */
import type { Logger } from 'pino'
import type { Database } from '../db/database.ts'
import { leaveScopes } from '../db/scope.ts'
import type { Engine } from '../engines/engine.ts'
import type { TaskRegistry } from '../task/registry.ts'
import { handOutBatch, isOpen } from './hand-out.ts'
import { lockPlanning, plan, planUntil } from './plan.ts'
import { declaredSchedules } from './schedule.ts'
import { briefTransaction } from './transaction.ts'

export interface TickerDependencies {
  database: Database
  engine: Engine
  registry: TaskRegistry
  logger: Logger
  /** What time it is; null: what Postgres says, which is one clock for all processes. */
  now(): Date | null
}

/** For what a process that died has left open. */
const lookEveryMs = 10_000
/** By then, whoever is planning has planned, and there is something to help with. */
const plannedElsewhereMs = 500

export class Ticker {
  readonly #dependencies: TickerDependencies

  constructor(dependencies: TickerDependencies) {
    this.#dependencies = dependencies
  }

  /**
   * Where nothing has come and nothing is open, this is two small statements. `signal` ends it between two batches.
   * Answers when to tick again, in milliseconds.
   */
  async tick(signal?: AbortSignal): Promise<number> {
    return await leaveScopes(async () => {
      const { now, isBehind, hasOpen } = await this.#look()
      const isPlanned = !isBehind || (await plan(now, this.#dependencies))
      if (isBehind || hasOpen) await this.#handOutAll(now, signal)
      return isPlanned ? Math.min(lookEveryMs, 60_000 - (now.getTime() % 60_000)) : plannedElsewhereMs
    })
  }

  /**
   * Changes when or for whom schedules tick, in a transaction in which nobody plans. Everything that has come is planned
   * before, by what holds until then; who is to have it is decided by what held at its time (members.ts), so a change
   * need not wait until it is handed out, and cannot fail for want of an engine. `change` is told that moment.
   */
  async change<T>(change: (at: Date) => Promise<T>): Promise<T> {
    const { database } = this.#dependencies
    return await leaveScopes(() =>
      briefTransaction(database, async () => {
        await lockPlanning(database)
        const now = await this.now()
        await planUntil(now, this.#dependencies)
        return await change(now)
      }),
    )
  }

  async now(): Promise<Date> {
    return this.#dependencies.now() ?? (await this.#askPostgres())
  }

  async #handOutAll(now: Date, signal?: AbortSignal): Promise<void> {
    while (!signal?.aborted && (await handOutBatch(now, this.#dependencies)));
  }

  /** A time has whole minutes, so what is planned up to this minute is planned. */
  async #look(): Promise<{ now: Date; isBehind: boolean; hasOpen: boolean }> {
    const { database, registry } = this.#dependencies
    const now = await this.now()
    const declared = declaredSchedules(registry)
    const { rows } = await database.sql<{ isBehind: boolean; hasOpen: boolean }>`
      SELECT EXISTS (
        SELECT FROM (
          SELECT * FROM unnest(
            ${declared.map(({ taskId }) => taskId)}::text[], ${declared.map(({ key }) => key)}::text[]
          ) AS declared (task_id, key)
          UNION
          SELECT task_id, key FROM public.platform_schedules
          WHERE extra AND task_id = ANY(${registry.list().map(({ id }) => id)}::text[])
        ) AS known
        LEFT JOIN public.platform_schedule_progress USING (task_id, key)
        WHERE coalesce(planned_until < date_trunc('minute', ${now}::timestamptz), true)
      ) AS "isBehind", EXISTS (
        SELECT FROM public.platform_schedule_ticks WHERE ${isOpen(database.sql, registry, now)}
      ) AS "hasOpen"`
    return { now, ...rows[0]! }
  }

  async #askPostgres(): Promise<Date> {
    const { rows } = await this.#dependencies.database.sql<{ now: Date }>`SELECT clock_timestamp() AS now`
    return rows[0]!.now
  }
}
