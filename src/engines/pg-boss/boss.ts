/**
 * pg-boss itself: its schema, its queues, its maintenance, over the platform's own pool.
 *
 * pg-boss inserts, keeps and deletes jobs. Claiming and settling are statements of ours (claim.ts, settle.ts), because
 * they must do in one commit what its API does in several: fence to the attempt, keep one output per run, record the
 * failed attempt, and hand back without spending an attempt. They are written against the schema of exactly the
 * version in the lock file, so any other is refused at start.
 */
import { createHash } from 'node:crypto'
import { type Db, PgBoss } from 'pg-boss'
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import { DatabaseSetupError } from '../../errors.ts'
import { heldBy, heldUntil, jobTable } from './job.ts'

/** The pg-boss schema our statements are written for and tested with (pg-boss 12.38). */
export const testedSchemaVersion = 46

/** pg-boss announces new jobs here with the queue's name; so do our own statements that make a job ready. */
export const readyChannel = `pgboss_${createHash('sha224').update('pgboss').digest('hex').slice(0, 24)}`

const day = 86_400

/** Our recovery (heartbeat.ts) takes runs back long before; this is the backstop behind it. */
const backstopSeconds = 60

/** Everything that differs between tasks is set per job, so all queues are alike and never need an update. */
const queueOptions = {
  policy: 'standard',
  notify: true,
  heartbeatSeconds: backstopSeconds,
  // Our recovery works by heartbeat; pg-boss's expiry is only the backstop behind it, so as long as it allows.
  expireInSeconds: day,
  // A waiting run is never deleted for having waited long.
  retentionSeconds: 3650 * day,
  // What has ended is moved to history (sweep.ts), which has a retention of its own.
  deleteAfterSeconds: 0,
} as const

export class Boss {
  readonly #database: Database
  readonly #boss: PgBoss
  readonly #queues = new Map<string, Promise<void>>()
  readonly #migrate: boolean

  constructor(options: { database: Database; migrate: boolean; logger: Logger }) {
    this.#database = options.database
    this.#migrate = options.migrate
    this.#boss = new PgBoss({
      db: overPool(options.database),
      migrate: options.migrate,
      createSchema: options.migrate,
      supervise: false,
      schedule: false,
      registerInstance: false,
      // Callers share statements (enqueue.ts), so its spans would belong to whoever came first. Ours are in src/telemetry.
      openTelemetry: { enabled: false },
    })
    this.#boss.on('error', (error) => options.logger.warn({ err: error }, 'pg-boss reported an error'))
  }

  async start(): Promise<void> {
    if (!this.#migrate && !(await this.#boss.isInstalled())) {
      throw new DatabaseSetupError('The queue has no schema in this database yet. Run: cgk migrate')
    }
    await this.#boss.start()
    const version = await this.#boss.schemaVersion()
    if (version !== testedSchemaVersion) {
      throw new DatabaseSetupError(
        `The pg-boss schema in this database has version ${version}; this release works with ${testedSchemaVersion}. Deploy the same release everywhere, then run: cgk migrate`,
      )
    }
    if (this.#migrate) await this.#ensureIndexes()
  }

  /**
   * Ours, on pg-boss's table.
   *
   * cgk_job_tenant: a tenant's waiting runs of a task, in claiming order: for per-tenant limits (claim.ts) and for everything done to
   * one tenant (tenant-work.ts). Without it those would read the whole backlog. The last condition keeps the planner
   * from using it for plain claims, which must be read in the order of job_i11.
   *
   * cgk_job_held: what is held, by what holds it, to let it go in portions (release.ts). Nothing else is in it.
   */
  async #ensureIndexes(): Promise<void> {
    const { rows } = await this.#database.query(
      "SELECT 1 WHERE to_regclass('pgboss.cgk_job_tenant') IS NOT NULL AND to_regclass('pgboss.cgk_job_held') IS NOT NULL",
    )
    if (rows.length > 0) return
    await this.#database.script(`
      CREATE INDEX IF NOT EXISTS cgk_job_tenant ON ${jobTable} (name, group_id, priority DESC, created_on, start_after)
      WHERE state < 'active' AND NOT blocked AND group_id IS NOT NULL;
      CREATE INDEX IF NOT EXISTS cgk_job_held ON ${jobTable} (group_id, (${heldBy}), priority DESC, created_on)
      WHERE state < 'active' AND start_after = '${heldUntil}'`)
  }

  /** Makes the task's queue if it is not there. Asked on every trigger, answered from memory. */
  ensureQueue(taskId: string): Promise<void> {
    let ready = this.#queues.get(taskId)
    if (!ready) {
      ready = this.#boss.createQueue(taskId, queueOptions)
      this.#queues.set(taskId, ready)
      ready.catch(() => this.#queues.delete(taskId))
    }
    return ready
  }

  async ensureQueues(taskIds: readonly string[]): Promise<void> {
    const { rows } = await this.#database.query<{ name: string }>(
      'SELECT name FROM pgboss.queue WHERE name = ANY($1::text[])',
      [taskIds],
    )
    for (const { name } of rows) this.#queues.set(name, Promise.resolve())
    for (const taskId of taskIds) await this.ensureQueue(taskId)
  }

  async insert(taskId: string, jobs: Parameters<PgBoss['insert']>[1], db?: Db): Promise<void> {
    await this.ensureQueue(taskId)
    await this.#boss.insert(taskId, jobs, db ? { db } : {})
  }

  /** One pass of pg-boss's own upkeep: statistics, and deleting finished jobs past their retention. */
  async supervise(): Promise<void> {
    await this.#boss.supervise()
  }

  async stop(): Promise<void> {
    await this.#boss.stop({ graceful: false, close: false })
  }
}

/** Answers as node-postgres does: for a text of several statements, a result for each. */
function overPool(database: Database): Db {
  return { executeSql: (text: string, values?: unknown[]) => database.pool.query(text, values) }
}
