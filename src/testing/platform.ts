/**
 * A platform of its own for a test file: a fresh migrated database, and the default platform of the process while the
 * file runs. So the code under test needs no wiring: `sql`, `withTenant`, `task.trigger()` work as they do in the app.
 */
import { randomBytes } from 'node:crypto'
import type { z } from 'zod'
import { readTestConfig } from '../config.ts'
import { close, configure, defaultPlatform } from '../default-platform.ts'
import type { Engine } from '../engines/engine.ts'
import type { Platform, PlatformOptions } from '../platform.ts'
import type { AnyTask, Task } from '../task/define.ts'
import type { Duration } from '../task/duration.ts'
import type { PayloadSchema } from '../task/payload.ts'
import type { Run } from '../task/run.ts'
import { type CreateTenantOptions, createTenant } from '../tenants/create.ts'
import { readAdvance, TestClock } from './clock.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { type Drained, type DrainOptions, drain } from './drain.ts'
import type { EngineControl } from './engine-control.ts'
import { assertEnqueued, type ExpectedRun, refuteEnqueued } from './enqueued.ts'
import { inlineControl } from './inline.ts'
import { type RunTaskOptions, runTask } from './run-task.ts'

/** As in `configure`, but for the database, which is made here. */
export interface TestPlatformOptions
  extends Omit<PlatformOptions, 'databaseUrl' | 'directUrl' | 'dataDir' | 'clock'> {
  /**
   * 'inline' (the default) keeps runs in memory and lets time stand still; 'pg-boss' is what runs in production.
   * Tasks behave alike on both.
   */
  engine?: 'inline' | 'pg-boss'
}

/** @throws DatabaseSetupError when no database can be made. */
export async function createTestPlatform(options: TestPlatformOptions = {}): Promise<TestPlatform> {
  // A template has the migrations of the package; other ones are applied from scratch.
  const { template } = options.migrationsDir === undefined ? readTestConfig() : {}
  const database = await createTestDatabase(template === undefined ? {} : { template })
  const clock = new TestClock()
  const engine = options.engine ?? 'inline'
  const defaults = { migrate: 'auto', logLevel: 'silent' } as const
  const own = { databaseUrl: database.url, directUrl: null, engine, clock }
  const platform = configure({ ...defaults, ...options, ...own })
  try {
    const started = await platform.ready()
    const control =
      engine === 'inline'
        ? inlineControl(started.engine, clock)
        : (await import('./pg-boss.ts')).pgBossControl(started.database, started.holds)
    return new TestPlatform(platform, started.engine, control, database)
  } catch (error) {
    await platform.close()
    await database.drop()
    throw error
  }
}

export class TestPlatform implements AsyncDisposable {
  /** For what the functions of the package do not reach, such as a second worker. */
  readonly platform: Platform
  readonly #engine: Engine
  readonly #control: EngineControl
  readonly #database: TestDatabase

  constructor(platform: Platform, engine: Engine, control: EngineControl, database: TestDatabase) {
    this.platform = platform
    this.#engine = engine
    this.#control = control
    this.#database = database
  }

  get databaseUrl(): string {
    return this.#database.url
  }

  /** Makes a tenant that no other test has, and answers its slug. */
  async tenant(options: CreateTenantOptions = {}): Promise<string> {
    const slug = `test_${randomBytes(6).toString('hex')}`
    const { tenants } = await this.platform.ready()
    await createTenant(tenants, slug, options)
    return slug
  }

  /**
   * Runs a task here and now, one attempt. Answers what its `run` returned, or throws what it threw. What the task
   * triggers is enqueued; a child that it waits for is run.
   */
  async runTask<Schema extends PayloadSchema, Output>(
    task: Task<string, Schema, Output>,
    payload: z.input<Schema>,
    options: RunTaskOptions = {},
  ): Promise<Output> {
    return await runTask(this.platform, task, payload, options)
  }

  /** Runs everything that is due, and what becomes due by it, until nothing is. Answers how many runs ended, and how. */
  async drain(options: DrainOptions = {}): Promise<Drained> {
    return await drain(this.platform, this.#control, options)
  }

  /**
   * Lets time pass for everything queued: delays, retries, expiries, idempotency keys. Rows that tasks wrote keep their
   * times.
   */
  async advance(duration: Duration): Promise<void> {
    await this.#control.advance(readAdvance(duration))
  }

  /**
   * Enqueues what schedules have come to since it was called last; before the first call nothing has. It goes by the
   * platform's clock: on pg-boss by that of Postgres, which `advance` does not move.
   */
  async tick(): Promise<void> {
    await (await this.platform.ticker()).tick()
  }

  /** Fails unless such a run waits or is running. Answers the newest one. */
  async assertEnqueued<T extends AnyTask>(task: T | string, expected: ExpectedRun<T> = {}): Promise<Run> {
    return await assertEnqueued(this.#engine, idOf(task), expected)
  }

  /** Fails if such a run waits or is running. */
  async refuteEnqueued<T extends AnyTask>(task: T | string, expected: ExpectedRun<T> = {}): Promise<void> {
    await refuteEnqueued(this.#engine, idOf(task), expected)
  }

  /** Stops everything and drops the database. */
  async close(): Promise<void> {
    if (defaultPlatform() === this.platform) await close()
    else await this.platform.close()
    await this.#database.drop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

function idOf(task: AnyTask | string): string {
  return typeof task === 'string' ? task : task.id
}
