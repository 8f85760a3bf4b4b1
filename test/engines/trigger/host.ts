/**
 * A platform whose engine is Trigger.dev, both sides of it: what is triggered goes to the fixture platform through the
 * SDK, and is run by Trigger.dev's own executor in this process.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readTestConfig } from '../../../src/config.ts'
import { leaveScopes } from '../../../src/db/scope.ts'
import { close, configure, createTenant } from '../../../src/default-platform.ts'
import type { Worker } from '../../../src/engines/engine.ts'
import { readWaitingNote } from '../../../src/engines/trigger/waiting-note.ts'
import type { WorkerOptions } from '../../../src/engines/worker-options.ts'
import { holdChannel } from '../../../src/holds/hold.ts'
import type { Platform, PlatformOptions } from '../../../src/platform.ts'
import type { AnyTask } from '../../../src/task/define.ts'
import { type Duration, parseDuration } from '../../../src/task/duration.ts'
import { createTestDatabase, type TestDatabase } from '../../../src/testing/database.ts'
import type { Drained, DrainOptions } from '../../../src/testing/drain.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
// Before any task is defined: it puts the parts of the executor in place.
import { defineIn, deployedTasks, Executor } from '../../fixtures/trigger/executor.ts'
import { TriggerPlatform } from '../../fixtures/trigger/platform.ts'
import type { StoredRun } from '../../fixtures/trigger/stored-run.ts'
import type { Host } from '../conformance/host.ts'

export async function hostOnTriggerDev(options: PlatformOptions): Promise<TriggerHost> {
  const { template } = readTestConfig()
  const database = await createTestDatabase(template === undefined ? {} : { template })
  const cloud = await new TriggerPlatform().listen()
  const platform = configure({
    engine: 'trigger.dev',
    triggerApiUrl: cloud.url,
    triggerSecretKey: cloud.secretKey,
    databaseUrl: database.url,
    migrate: 'auto',
    logLevel: 'silent',
    ...options,
  })
  const tasks = (await platform.registry()).list()
  defineIn('tasks/index.trigger.ts', () => toTriggerTasks(tasks, { waitInPlace: 100 }))
  for (const [id, task] of deployedTasks()) cloud.store.tasks.set(id, task)
  return new TriggerHost(platform, cloud, database)
}

export class TriggerHost implements Host {
  readonly platform: Platform
  readonly cloud: TriggerPlatform
  readonly #database: TestDatabase
  readonly #executor: Executor
  readonly #expired = new Set<StoredRun>()

  constructor(platform: Platform, cloud: TriggerPlatform, database: TestDatabase) {
    this.platform = platform
    this.cloud = cloud
    this.#database = database
    this.#executor = new Executor(cloud)
  }

  async tenant(): Promise<string> {
    const slug = `test_${randomBytes(6).toString('hex')}`
    await createTenant(slug)
    return slug
  }

  /** As a worker elsewhere would: nothing of who calls is in what runs. */
  async work({ concurrency = 10, only }: WorkerOptions): Promise<Worker> {
    return this.#begin(concurrency, only, () => {})
  }

  #begin(
    concurrency: number,
    wanted: readonly string[] | undefined,
    onAttempt: (run: StoredRun) => void,
  ): Worker {
    const working = leaveScopes(() =>
      this.cloud.work({
        runAttempt: (...attempt) => this.#executor.runAttempt(...attempt),
        concurrency,
        isWanted: isWantedBy(wanted),
        onAttempt,
      }),
    )
    return { name: 'Trigger.dev', stop: () => working.stop() }
  }

  async drain({ only, concurrency = 10 }: DrainOptions = {}): Promise<Drained> {
    // Reading waits for what committed transactions have promised to trigger.
    await (await this.platform.ready()).engine.getMany([])
    const wanted = only?.map((task: AnyTask | string) => (typeof task === 'string' ? task : task.id))
    const drained: Drained = { completed: 0, failed: 0, cancelled: 0, expired: 0 }
    for (const run of this.cloud.store.all()) {
      if (run.status !== 'EXPIRED' || this.#expired.has(run)) continue
      this.#expired.add(run)
      drained.expired += 1
    }
    // What is held looks for itself, at least every few minutes; here it looks at once.
    this.cloud.store.endWaits(({ metadata }) => readWaitingNote(metadata)?.state === 'held')
    const worker = this.#begin(concurrency, wanted, ({ status }) => {
      if (status === 'COMPLETED') drained.completed += 1
      else if (status === 'FAILED') drained.failed += 1
      else if (status === 'CANCELED') drained.cancelled += 1
    })
    const isWanted = isWantedBy(wanted)
    const due = () => [...this.cloud.store.unfinished().keys()].some(isWanted)
    while (due()) await new Promise((resolve) => setTimeout(resolve, 5))
    await worker.stop()
    return drained
  }

  /** Holds go by the clock of Postgres, which cannot be moved: they are moved towards it. */
  async advance(duration: Duration): Promise<void> {
    const ms = parseDuration(duration, 1)!
    const { database, holds } = await this.platform.ready()
    await database.query(advanceHoldsSql, [ms])
    for (const { tenantId, service } of await holds.list()) await holds.changed(tenantId, service)
    this.cloud.advance(ms)
  }

  async close(): Promise<void> {
    assert.deepEqual(this.cloud.misfits, [], 'Requests that the schemas of the SDK refuse')
    await close()
    await this.cloud.close()
    await this.#database.drop()
  }
}

const advanceHoldsSql = `
  UPDATE public.platform_holds SET
    until = until - $1::float8 * interval '1 millisecond',
    next_portion_at = next_portion_at - $1::float8 * interval '1 millisecond'
  RETURNING pg_notify('${holdChannel}', tenant_id || ' ' || service)`

function isWantedBy(patterns: readonly string[] | undefined): (taskId: string) => boolean {
  if (!patterns) return () => true
  return (taskId) =>
    patterns.some((pattern) =>
      pattern.endsWith('*') ? taskId.startsWith(pattern.slice(0, -1)) : taskId === pattern,
    )
}
