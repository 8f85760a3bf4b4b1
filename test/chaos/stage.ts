/**
 * Where one scenario plays: a database of its own, tenants, a platform in this process that triggers and reads, and
 * worker processes that are ended with the test, however it ends.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import type { ServiceSettings } from '../../src/config.ts'
import { readTestConfig } from '../../src/config.ts'
import { Platform } from '../../src/platform.ts'
import { setCredential } from '../../src/services/set-credential.ts'
import type { AnyTask } from '../../src/task/define.ts'
import { provideDispatcher } from '../../src/task/dispatcher.ts'
import type { TriggerOptions } from '../../src/task/options.ts'
import { createTenant } from '../../src/tenants/create.ts'
import { createTestDatabase } from '../../src/testing/database.ts'
import tasks from '../fixtures/chaos/tasks.ts'
import type { WorkerProcessOptions } from '../fixtures/chaos/worker.ts'
import { Child } from './child.ts'

export interface Execution {
  runId: string
  attempt: number
  worker: number
  kind: 'start' | 'end'
}

/** Open and ended, in the columns that the scenarios look at. */
export const everyRun = `(
  SELECT id, name, group_id, state::text, output, created_on FROM pgboss.job
  UNION ALL
  SELECT id, task_id, tenant_id, state, output, created_at FROM public.platform_runs
) AS run`

const encryptionKeys = Buffer.alloc(32, 'chaos').toString('base64')

/** Scenarios run side by side in one process, so each one's triggers find their platform by where they come from. */
const playing = new AsyncLocalStorage<Platform>()
provideDispatcher(() => playing.getStore()!.dispatcher)

export interface StageOptions {
  tenants?: number
  /** A database that the scenario brings along; a fresh one by default. */
  url?: string
  /** That database has been prepared by another stage. */
  joins?: boolean
  /** Where providers are, for every process. */
  services?: Record<string, ServiceSettings>
  /** What the platform of this process connects to, if not the database itself. */
  through?: (url: string) => Promise<string>
}

export async function setStage(test: TestContext, options: StageOptions = {}): Promise<Stage> {
  const { template } = readTestConfig()
  const given = options.url === undefined
  const database = given ? await createTestDatabase(template === undefined ? {} : { template }) : null
  const url = options.url ?? database!.url
  const stage = new Stage(url, (await options.through?.(url)) ?? url, options.services ?? {})
  test.onTestFinished(async () => {
    await stage.clear()
    await database?.drop()
  })
  if (!options.joins) await stage.prepare(options.tenants ?? 1)
  return stage
}

export class Stage {
  readonly url: string
  readonly platform: Platform
  readonly tenants: string[] = []
  readonly #services: Record<string, ServiceSettings>
  readonly #children: Child[] = []

  constructor(url: string, platformUrl: string, services: Record<string, ServiceSettings>) {
    this.url = url
    this.#services = services
    this.platform = new Platform({
      databaseUrl: platformUrl,
      directUrl: null,
      engine: 'pg-boss',
      migrate: 'auto',
      tasks,
      encryptionKeys,
      services,
      logLevel: 'silent',
    })
  }

  async prepare(tenants: number): Promise<void> {
    const deps = (await this.platform.ready()).tenants
    await this.query(`
      CREATE TABLE public.chaos_events (
        id bigint GENERATED ALWAYS AS IDENTITY, run_id uuid NOT NULL, attempt int NOT NULL, worker int NOT NULL,
        kind text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`)
    await this.query('CREATE TABLE public.chaos_running (run_id uuid PRIMARY KEY, tenant_id text NOT NULL)')
    await this.query('GRANT ALL ON public.chaos_events, public.chaos_running TO PUBLIC')
    for (let index = 1; index <= tenants; index += 1) {
      this.tenants.push(`chaos_${index}`)
      await createTenant(deps, `chaos_${index}`)
    }
  }

  get tenant(): string {
    return this.tenants[0]!
  }

  async query<Row = Record<string, unknown>>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await (await this.platform.ready()).database.query<Row>(text, values)).rows
  }

  async trigger(task: AnyTask, payload: object, options?: TriggerOptions): Promise<string> {
    const { id } = await playing.run(this.platform, () =>
      task.trigger({ tenantId: this.tenant, ...payload }, options),
    )
    return id
  }

  async setCredential(tenantId: string, service: string, values: Record<string, string>): Promise<void> {
    const { database, clients, holds } = await this.platform.ready()
    await setCredential({ database, keys: this.platform.keys }, tenantId, service, values)
    await clients.changed(tenantId, service)
    await holds.changed(tenantId, service)
  }

  /** `count` runs, over all tenants in turn. */
  async triggerMany(
    task: AnyTask,
    count: number,
    payload: (index: number) => object = () => ({}),
  ): Promise<string[]> {
    const items = Array.from({ length: count }, (_, index) => ({
      payload: { tenantId: this.tenants[index % this.tenants.length]!, ...payload(index) },
    }))
    const handles = await playing.run(this.platform, () => task.batchTrigger(items))
    return handles.map(({ id }) => id)
  }

  /** A worker process that takes runs. */
  async worker(options: Partial<WorkerProcessOptions> = {}): Promise<Child> {
    const all: WorkerProcessOptions = {
      url: this.url,
      concurrency: 20,
      encryptionKeys,
      services: this.#services,
      ...options,
    }
    const child = this.spawn('worker.ts', all)
    await child.says('ready')
    return child
  }

  spawn(script: string, options: object): Child {
    const child = new Child(script, options)
    this.#children.push(child)
    return child
  }

  /** How many of all runs are in each of pg-boss's states, and in each that history has. */
  async states(): Promise<Record<string, number>> {
    const rows = await this.query<{ state: string; runs: number }>(
      `SELECT state, count(*)::int AS runs FROM ${everyRun} GROUP BY state`,
    )
    return Object.fromEntries(rows.map(({ state, runs }) => [state, runs]))
  }

  async active(): Promise<string[]> {
    return (await this.query<{ id: string }>("SELECT id FROM pgboss.job WHERE state = 'active'")).map(
      ({ id }) => id,
    )
  }

  /** Answers when no run is open any more. */
  async untilAllEnded(withinMs = 60_000): Promise<void> {
    await this.until('all runs have ended', withinMs, async () => {
      const [row] = await this.query<{ open: number }>(
        "SELECT count(*)::int AS open FROM pgboss.job WHERE state < 'completed'",
      )
      return row!.open === 0
    })
  }

  async until(what: string, withinMs: number, reached: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + withinMs
    while (!(await reached())) {
      if (performance.now() > deadline) {
        throw new Error(`Not within ${withinMs} ms: ${what}; runs are ${JSON.stringify(await this.states())}`)
      }
      await sleep(50)
    }
  }

  async executions(): Promise<Execution[]> {
    return await this.query<Execution>(
      'SELECT run_id AS "runId", attempt, worker, kind FROM public.chaos_events ORDER BY id',
    )
  }

  /** Nobody is lost right after a start of Postgres. */
  async untilSilenceCounts(): Promise<void> {
    await this.until('Postgres has run for so long that silence counts', 15_000, async () => {
      const [row] = await this.query<{ counts: boolean }>(
        "SELECT pg_postmaster_start_time() < clock_timestamp() - interval '11 seconds' AS counts",
      )
      return row!.counts
    })
  }

  /** Lets the silence of every worker look as long as it takes for its runs to be lost. */
  async ageHeartbeats(): Promise<void> {
    await this.untilSilenceCounts()
    await this.query(
      "UPDATE pgboss.job SET heartbeat_on = heartbeat_on - interval '30 seconds' WHERE state = 'active'",
    )
  }

  async clear(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill()))
    await this.platform.close()
  }
}

/** How often each run is among these executions. */
export function countByRun(executions: readonly Execution[], kind: Execution['kind']): Map<string, number> {
  const counts = new Map<string, number>()
  for (const one of executions) if (one.kind === kind) counts.set(one.runId, (counts.get(one.runId) ?? 0) + 1)
  return counts
}

/** Those runs that are there more than once. */
export function repeated(counts: ReadonlyMap<string, number>): string[] {
  return [...counts].filter(([, count]) => count > 1).map(([runId]) => runId)
}
