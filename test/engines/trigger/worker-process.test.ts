/**
 * The outcomes once more, in Trigger.dev's real worker process on the real bundle: what the platform is made of there,
 * and that it lets go while a run waits.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { parsePacket, type TaskRunExecutionResult } from '@trigger.dev/core/v3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { setCredential } from '../../../src/default-platform.ts'
import { readRunError } from '../../../src/engines/trigger/run-error.ts'
import { createTestPlatform, type TestPlatform } from '../../../src/testing/index.ts'
import { Turnstile } from '../../fixtures/providers/turnstile.ts'
import { type ExecutionOptions, executionOf } from '../../fixtures/trigger/execution.ts'
import { TriggerPlatform } from '../../fixtures/trigger/platform.ts'
import { makeProject, type Project } from '../../fixtures/trigger/project.ts'
import { type AskedWait, WaitServer } from '../../fixtures/trigger/waits.ts'
import { WorkerBundle, type WorkerProcess } from '../../fixtures/trigger/worker-process.ts'

const files = {
  'tasks/work/act.ts': `
import { AbortTaskError, defineTask, snooze, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

const executions = new Map<string, number>()

export const act = defineTask({
  id: 'work/act',
  payload: tenantPayload({
    act: z.enum(['answer', 'fail', 'abort', 'snooze', 'snoozeLong', 'wait', 'crash']),
    text: z.string().transform((text) => '<' + text + '>').default('none'),
  }),
  retry: { maxAttempts: 3, minDelay: '1m' },
  timeout: '5s',
  async run({ act, text }, { runId, attempt, maxAttempts, signal, sql }) {
    const execution = (executions.get(runId) ?? 0) + 1
    executions.set(runId, execution)
    const { rows } = await sql\`SELECT current_schema() AS schema\`
    if (act === 'fail') throw Object.assign(new Error('not yet'), { code: 'E_BUSY' })
    if (act === 'abort') throw new AbortTaskError('hopeless')
    if (act === 'snooze' && execution === 1) snooze(50)
    if (act === 'snoozeLong' && execution === 1) snooze('10m')
    if (act === 'crash') process.kill(process.pid, 'SIGKILL')
    if (act === 'wait') await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return { runId, attempt, maxAttempts, execution, text, schema: rows[0].schema, pid: process.pid }
  },
})
`,
  'tasks/work/asks-mux.ts': `
import { defineTask, tenantPayload } from '@cgk-platform/jobs'

export const asksMux = defineTask({
  id: 'work/asks-mux',
  payload: tenantPayload({}),
  services: ['mux'],
  async run(_, { clients, attempt }) {
    await clients.mux.video.assets.list({ limit: 1 })
    return attempt
  },
})
`,
  'tasks/work/parent.ts': `
import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { act } from './act.ts'

export const parent = defineTask({
  id: 'work/parent',
  payload: tenantPayload({}),
  run: async ({ tenantId }, { sql }) => ({
    child: await act.triggerAndWait({ tenantId, act: 'answer' }),
    rows: (await sql\`SELECT 1\`).rows.length,
  }),
})
`,
  'tasks/index.ts': `
import { act } from './work/act.ts'
import { asksMux } from './work/asks-mux.ts'
import { parent } from './work/parent.ts'
export default [act, asksMux, parent]
`,
  'tasks/index.trigger.ts': `
import { toTriggerTasks } from '@cgk-platform/jobs/trigger'
import registry from './index.ts'
toTriggerTasks(registry, { waitInPlace: 500 })
`,
}

const encryptionKeys = randomBytes(32).toString('base64')
const platform = new WaitServer()
let kit: TestPlatform
let turnstile: Turnstile
let project: Project
let bundle: WorkerBundle
let worker: WorkerProcess

beforeAll(async () => {
  await platform.listen()
  turnstile = await new Turnstile().listen()
  kit = await createTestPlatform({ tasks: [], encryptionKeys })
  project = await makeProject(files)
  bundle = await WorkerBundle.of(project.folder)
  worker = await startWorker()
}, 180_000)

afterAll(async () => {
  await worker?.stop()
  await bundle?.remove()
  await project?.remove()
  await kit?.close()
  await turnstile?.close()
  await platform.close()
})

beforeEach(() => {
  platform.waits.length = 0
  platform.onWait = (wait) => worker.waitIsOver(wait)
})

/** Its connections are known by this name. */
async function startWorker(name = 'worker', env: Record<string, string> = {}): Promise<WorkerProcess> {
  const databaseUrl = new URL(kit.databaseUrl)
  databaseUrl.searchParams.set('application_name', name)
  return await bundle.start({
    TRIGGER_API_URL: platform.url,
    DATABASE_URL: databaseUrl.href,
    INTEGRATION_ENCRYPTION_KEY: encryptionKeys,
    JOBS_SERVICES: JSON.stringify({ mux: { baseUrl: turnstile.url } }),
    JOBS_LOG_LEVEL: 'fatal',
    ...env,
  })
}

async function attempt(
  payload: Record<string, unknown>,
  options: ExecutionOptions & { task?: string; on?: WorkerProcess } = {},
): Promise<TaskRunExecutionResult> {
  const { task = 'work/act', on = worker, ...rest } = options
  return await on.runAttempt(executionOf(task, payload, rest))
}

async function outputOf(result: TaskRunExecutionResult): Promise<Record<string, unknown>> {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return await parsePacket({ data: result.output, dataType: result.outputType })
}

function errorOf(result: TaskRunExecutionResult): { code: string | null; message: string } {
  if (result.ok || result.error.type !== 'BUILT_IN_ERROR') throw new Error(JSON.stringify(result))
  const { code, message } = readRunError(result.error)
  return { code, message }
}

async function query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
  const { database } = await kit.platform.ready()
  return (await database.query<Row>(text, values)).rows
}

const recorded = (runId: string) =>
  query(
    `SELECT attempt, result, error->>'code' AS code FROM public.platform_attempts WHERE run_id = $1 ORDER BY attempt`,
    [runId],
  )

async function connections(name = 'worker'): Promise<number> {
  const [row] = await query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = $1`,
    [name],
  )
  return row!.count
}

describe('in the worker process', () => {
  test('completed: in its tenant, parsed once, in a warm process', async () => {
    const [tenantId, runId] = [await kit.tenant(), randomUUID()]
    const first = await outputOf(await attempt({ tenantId, act: 'answer', text: 'x' }, { runId }))
    expect(first).toMatchObject({
      runId,
      attempt: 1,
      maxAttempts: 3,
      text: '<x>',
      schema: `tenant_${tenantId}`,
      pid: worker.pid,
    })
    const other = await kit.tenant()
    const second = await outputOf(await attempt({ tenantId: other, act: 'answer' }, { attempt: 2 }))
    expect(second).toMatchObject({ attempt: 2, schema: `tenant_${other}`, pid: worker.pid })
  })

  test('failed: retried by the rule, then not; recorded', async () => {
    const [tenantId, runId] = [await kit.tenant(), randomUUID()]
    const delays: (number | undefined)[] = []
    for (const number of [1, 2, 3]) {
      const result = await attempt({ tenantId, act: 'fail' }, { runId, attempt: number })
      expect(errorOf(result)).toEqual({ code: 'E_BUSY', message: 'not yet' })
      delays.push(result.ok ? undefined : result.retry?.delay)
    }
    expect(delays).toEqual([expect.any(Number), expect.any(Number), undefined])
    expect(delays[0]).toBeGreaterThanOrEqual(30_000)
    expect(delays[0]).toBeLessThanOrEqual(60_000)
    expect(await recorded(runId)).toEqual([
      { attempt: 1, result: 'retry', code: 'E_BUSY' },
      { attempt: 2, result: 'retry', code: 'E_BUSY' },
      { attempt: 3, result: 'failed', code: 'E_BUSY' },
    ])
  })

  test('a run with one attempt leaves the next run of the process its three (T20)', async () => {
    const tenantId = await kit.tenant()
    const once = await attempt({ tenantId, act: 'fail' }, { maxAttempts: 1 })
    expect(once).not.toHaveProperty('retry.delay')
    expect(await attempt({ tenantId, act: 'fail' })).toHaveProperty('retry.delay')
  })

  test('aborted, and a payload that does not fit: one attempt, and our error', async () => {
    const tenantId = await kit.tenant()
    const aborted = await attempt({ tenantId, act: 'abort' })
    expect(aborted).toMatchObject({ ok: false, skippedRetrying: true })
    expect(errorOf(aborted)).toEqual({ code: 'TASK_ABORTED', message: 'hopeless' })
    const misfit = await attempt({ tenantId, act: 'dance' })
    expect(misfit).toMatchObject({ ok: false, skippedRetrying: true })
    expect(errorOf(misfit)).toEqual({ code: 'PAYLOAD_INVALID', message: expect.stringContaining('act') })
  })

  test('a timeout: ours, retried', async () => {
    const tenantId = await kit.tenant()
    const result = await attempt({ tenantId, act: 'wait' })
    expect(errorOf(result)).toMatchObject({ code: 'RUN_TIMEOUT' })
    expect(result).toHaveProperty('retry.delay')
  })

  test('snoozed: the same attempt', async () => {
    const tenantId = await kit.tenant()
    expect(await outputOf(await attempt({ tenantId, act: 'snooze' }))).toMatchObject({
      attempt: 1,
      execution: 2,
    })
    expect(platform.waits).toEqual([])
  })

  test('while a run waits for long, its process holds no connection; it goes on where it was', async () => {
    const [tenantId, runId] = [await kit.tenant(), randomUUID()]
    const asked = Promise.withResolvers<AskedWait>()
    platform.onWait = asked.resolve
    const running = attempt({ tenantId, act: 'snoozeLong' }, { runId })
    const wait = await asked.promise
    expect(wait.ms).toBeGreaterThan(590_000)
    await expect.poll(() => connections(), { timeout: 5_000 }).toBe(0)
    worker.waitIsOver(wait)
    expect(await outputOf(await running)).toMatchObject({ attempt: 1, execution: 2, pid: worker.pid })
    expect(await connections()).toBeGreaterThan(0)
    expect(await recorded(runId)).toEqual([])
  })

  test('while a run waits for its child, its process may be frozen and holds no connection', async () => {
    const cloud = await new TriggerPlatform().listen()
    const own = await startWorker('parent', {
      TRIGGER_API_URL: cloud.url,
      TRIGGER_SECRET_KEY: cloud.secretKey,
      TRIGGER_OTEL_EXPORTER_OTLP_ENDPOINT: `${platform.url}/otel`,
    })
    const payload = { tenantId: await kit.tenant() }
    const parent = { taskId: 'work/parent', payload, options: {}, batchId: null }
    const { id: triggerRunId } = (await cloud.store.add(parent)).run
    const running = attempt(payload, { task: 'work/parent', triggerRunId, on: own })
    await expect.poll(() => cloud.store.get(triggerRunId)!.status, { timeout: 20_000 }).toBe('WAITING')
    await expect.poll(() => connections('parent'), { timeout: 5_000 }).toBe(0)
    const child = cloud.store.take((taskId) => taskId === 'work/act')!
    const result = { id: child.id, output: '{"json":"done"}', outputType: 'application/super+json' }
    cloud.store.finish(child, { ok: true, ...result })
    own.childHasEnded(result)
    expect(await outputOf(await running)).toMatchObject({ child: { ok: true, output: 'done' }, rows: 1 })
    expect(cloud.misfits).toEqual([])
    await own.stop()
    await cloud.close()
  }, 60_000)

  test('held for want of a credential, then mended', async () => {
    const [tenantId, runId] = [await kit.tenant(), randomUUID()]
    platform.onWait = async (wait) => {
      turnstile.accepted.add('the-secret-of-the-test')
      await setCredential(tenantId, 'mux', { token_id: 'token', token_secret: 'the-secret-of-the-test' })
      worker.waitIsOver(wait)
    }
    const result = await attempt({ tenantId }, { runId, task: 'work/asks-mux' })
    expect(await outputOf(result)).toBe(1)
    expect(platform.waits).toHaveLength(1)
    expect(await recorded(runId)).toEqual([])
  })

  test('cancelled while it runs, and while it waits', async () => {
    for (const act of ['wait', 'snoozeLong']) {
      const [tenantId, runId] = [await kit.tenant(), randomUUID()]
      const own = await startWorker(`cancelled ${act}`)
      const asked = Promise.withResolvers<void>()
      platform.onWait = () => asked.resolve()
      const running = attempt({ tenantId, act }, { runId, on: own })
      if (act === 'wait') {
        await expect.poll(() => connections(`cancelled ${act}`), { timeout: 20_000 }).toBeGreaterThan(0)
      }
      if (act === 'snoozeLong') await asked.promise
      await own.cancel()
      expect(await running).toMatchObject({
        ok: false,
        error: { type: 'INTERNAL_ERROR', code: 'TASK_RUN_CANCELLED' },
      })
      expect(await recorded(runId)).toEqual([])
    }
  }, 60_000)

  test('a process that dies is told as such', async () => {
    const own = await startWorker()
    const result = await attempt({ tenantId: await kit.tenant(), act: 'crash' }, { on: own })
    expect(result).toMatchObject({ ok: false, error: { type: 'INTERNAL_ERROR' } })
  })

  test('without DATABASE_URL it says what is missing, and starts no Postgres', async () => {
    const own = await startWorker('homeless', { DATABASE_URL: '' })
    const result = await attempt({ tenantId: await kit.tenant(), act: 'answer' }, { on: own })
    expect(errorOf(result)).toEqual({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('DATABASE_URL'),
    })
    await own.stop()
  })

  test('a configuration that makes no platform fails the attempt by the rule, as everything passing does', async () => {
    const own = await startWorker('misconfigured', { JOBS_POOL_SIZE: 'many' })
    for (const runId of [randomUUID(), null]) {
      const result = await attempt({ tenantId: await kit.tenant(), act: 'answer' }, { runId, on: own })
      expect(errorOf(result)).toEqual({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining('JOBS_POOL_SIZE'),
      })
      expect(result).toHaveProperty('retry.delay')
    }
    await own.stop()
  })

  test('every request of it was one that the SDK itself knows', () => {
    expect(platform.misfits).toEqual([])
  })
})
