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
import { plan } from './plan.ts'
import { declaredSchedules } from './schedule.ts'

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
      const isPlanned = !isBehind || (await plan(now, this.#dependencies, { wait: false }))
      if (isBehind || hasOpen) await this.#handOutAll(now, { wait: false }, signal)
      return isPlanned ? Math.min(lookEveryMs, 60_000 - (now.getTime() % 60_000)) : plannedElsewhereMs
    })
  }

  /**
   * Everything that came until now is planned and handed out when this answers, also by others: what is changed then
   * changes nothing of the time before. Answers that moment.
   */
  async settle(): Promise<Date> {
    return await leaveScopes(async () => {
      const { now } = await this.#look()
      await plan(now, this.#dependencies, { wait: true })
      for (let look = await this.#look(); look.hasOpen; look = await this.#look()) {
        await this.#handOutAll(look.now, { wait: true })
      }
      return now
    })
  }

  async now(): Promise<Date> {
    return this.#dependencies.now() ?? (await this.#askPostgres())
  }

  async #handOutAll(now: Date, options: { wait: boolean }, signal?: AbortSignal): Promise<void> {
    while (!signal?.aborted && (await handOutBatch(now, this.#dependencies, options)));
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
