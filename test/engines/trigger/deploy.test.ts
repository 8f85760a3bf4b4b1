/** Every outcome through Trigger.dev's real executor, in this process. worker-process.test.ts does it in its process. */
import { randomBytes, randomUUID } from 'node:crypto'
import { parsePacket, type TaskRunExecutionResult } from '@trigger.dev/core/v3'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { resumeTenant, setCredential, suspendTenant } from '../../../src/default-platform.ts'
import { readRunError } from '../../../src/engines/trigger/run-error.ts'
import { derivedRunId } from '../../../src/engines/trigger/run-id.ts'
import { readWaitingNote } from '../../../src/engines/trigger/waiting-note.ts'
import { AbortTaskError, RunCancelledError } from '../../../src/errors.ts'
import type { TaskContext } from '../../../src/task/context.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { snooze } from '../../../src/task/snooze.ts'
import { createTestPlatform, type TestPlatform } from '../../../src/testing/index.ts'
import { toTriggerTasks } from '../../../src/trigger.ts'
import { Turnstile } from '../../fixtures/providers/turnstile.ts'
import { type ExecutionOptions, executionOf } from '../../fixtures/trigger/execution.ts'
import { defineIn, Executor } from '../../fixtures/trigger/executor.ts'
import { type AskedWait, WaitServer } from '../../fixtures/trigger/waits.ts'

type Act = (context: TaskContext) => unknown
const acts: Act[] = []
const act = z.number()

const run = (payload: { act: number }, context: TaskContext) => acts[payload.act]!(context)
const retry = { maxAttempts: 3, minDelay: '1m', maxDelay: '30m' } as const
const plain = defineTask({ id: 'deployed/plain', payload: tenantPayload({ act }), retry, run })
const brief = defineTask({ id: 'deployed/brief', payload: tenantPayload({ act }), retry, timeout: 40, run })
const patient = defineTask({ id: 'deployed/patient', payload: tenantPayload({ act }), timeout: '2s', run })
const asksMux = defineTask({
  id: 'deployed/asks-mux',
  payload: tenantPayload({ act }),
  services: ['mux'],
  async run({ act }, context) {
    await context.clients.mux.video.assets.list({ limit: 1 })
    return acts[act]!(context as TaskContext)
  },
})
const echo = defineTask({
  id: 'deployed/echo',
  payload: tenantPayload({ text: z.string().transform((text) => `<${text}>`), count: z.number().default(1) }),
  run: (parsed) => parsed,
})

let kit: TestPlatform
let turnstile: Turnstile
let executor: Executor
const platform = new WaitServer()
/** What ends a wait, by its waitpoint. */
const waitpoints = new Map<string, PromiseWithResolvers<void>>()

beforeAll(async () => {
  await platform.listen()
  turnstile = await new Turnstile().listen()
  const tasks = [plain, brief, patient, asksMux, echo]
  kit = await createTestPlatform({
    tasks,
    encryptionKeys: randomBytes(32).toString('base64'),
    services: { mux: { baseUrl: turnstile.url } },
  })
  defineIn('tasks/index.trigger.ts', () => toTriggerTasks(tasks))
  executor = new Executor({
    url: platform.url,
    secretKey: 'tr_dev_test',
    waitpoint: (id) => waitpointOf(id).promise,
    waitForRun: () => Promise.reject(new Error('No run here waits for another.')),
  })
})

afterAll(async () => {
  await kit.close()
  await turnstile.close()
  await platform.close()
})

beforeEach(() => {
  platform.waits.length = 0
  platform.told.length = 0
  platform.onWait = () => {}
})

function waitpointOf(id: string): PromiseWithResolvers<void> {
  const found = waitpoints.get(id) ?? Promise.withResolvers<void>()
  waitpoints.set(id, found)
  return found
}

const over = ({ waitpointId }: AskedWait) => waitpointOf(waitpointId).resolve()

async function attempt(
  task: { id: string },
  payload: unknown,
  { signal = new AbortController().signal, ...options }: ExecutionOptions & { signal?: AbortSignal } = {},
): Promise<TaskRunExecutionResult> {
  return await executor.runAttempt(task.id, executionOf(task.id, payload, options), signal)
}

/** A payload with which a task of these does what `fn` says. */
async function doing(fn: Act): Promise<{ tenantId: string; act: number }> {
  return { tenantId: await kit.tenant(), act: acts.push(fn) - 1 }
}

async function recorded(runId: string): Promise<unknown[]> {
  const { database } = await kit.platform.ready()
  const { rows } = await database.query(
    `SELECT attempt, result, task_id AS "taskId", tenant_id AS "tenantId", error->>'code' AS code,
       error->>'message' AS message, started_at <= finished_at AS "inOrder", worker LIKE 'trigger.dev %' AS "byTrigger"
     FROM public.platform_attempts WHERE run_id = $1 ORDER BY attempt`,
    [runId],
  )
  return rows
}

function errorOf(result: TaskRunExecutionResult): { name: string; code: string | null; message: string } {
  if (result.ok || result.error.type !== 'BUILT_IN_ERROR') throw new Error(JSON.stringify(result))
  const { name, code, message } = readRunError(result.error)
  return { name, code, message }
}

async function giveMux(tenantId: string): Promise<string> {
  const secret = `mux-secret-${randomBytes(8).toString('hex')}`
  turnstile.accepted.add(secret)
  await setCredential(tenantId, 'mux', { token_id: 'token-of-the-test', token_secret: secret })
  return secret
}

describe('an attempt that ends', () => {
  test('completed: its output, and what the run knows of itself', async () => {
    const runId = randomUUID()
    const payload = await doing(({ runId, attempt, maxAttempts, tenantId, idempotencyKey }) => ({
      runId,
      attempt,
      maxAttempts,
      tenantId,
      key: idempotencyKey('call'),
    }))
    const result = await attempt(plain, payload, { runId, attempt: 2, maxAttempts: 7 })
    expect(result).toMatchObject({ ok: true })
    expect(await outputOf(result)).toEqual({
      runId,
      attempt: 2,
      maxAttempts: 7,
      tenantId: payload.tenantId,
      key: `${runId}:call`,
    })
    expect(await recorded(runId)).toEqual([])
  })

  test('nothing, and what cannot be JSON, are outputs', async () => {
    expect(await outputOf(await attempt(plain, await doing(() => undefined)))).toBe(null)
    expect(await outputOf(await attempt(plain, await doing(() => ({ n: 10n, text: 'a\0b' }))))).toEqual({
      n: '10',
      text: 'a\u{FFFD}b',
    })
  })

  test('the payload is parsed once', async () => {
    const tenantId = await kit.tenant()
    expect(await outputOf(await attempt(echo, { tenantId, text: 'x' }))).toEqual({
      tenantId,
      text: '<x>',
      count: 1,
    })
  })

  test('failed: retried after the delay of the rule, and recorded', async () => {
    const runId = randomUUID()
    const payload = await doing(() => {
      throw Object.assign(new Error('not yet'), { code: 'E_BUSY' })
    })
    for (const [number, least, most] of [
      [1, 30_000, 60_000],
      [2, 60_000, 120_000],
    ] as const) {
      const result = await attempt(plain, payload, { runId, attempt: number })
      expect(result).toMatchObject({ ok: false, skippedRetrying: false })
      const delay = result.ok ? 0 : result.retry!.delay
      expect(delay).toBeGreaterThanOrEqual(least)
      expect(delay).toBeLessThanOrEqual(most)
      expect(errorOf(result)).toEqual({ name: 'Error', code: 'E_BUSY', message: 'not yet' })
    }
    const last = await attempt(plain, payload, { runId, attempt: 3 })
    expect(last).toMatchObject({ ok: false, skippedRetrying: true })
    expect(last).not.toHaveProperty('retry.delay')
    const row = {
      taskId: plain.id,
      tenantId: payload.tenantId,
      code: 'E_BUSY',
      message: 'not yet',
      inOrder: true,
      byTrigger: true,
    }
    expect(await recorded(runId)).toEqual([
      { attempt: 1, result: 'retry', ...row },
      { attempt: 2, result: 'retry', ...row },
      { attempt: 3, result: 'failed', ...row },
    ])
  })

  test('a run with attempts of its own leaves the others those of the rule (T20)', async () => {
    const payload = await doing(() => {
      throw new Error('no')
    })
    expect(retries(await attempt(plain, payload, { maxAttempts: 1 }))).toBe(false)
    expect(retries(await attempt(plain, payload))).toBe(true)
    expect(retries(await attempt(plain, payload, { attempt: 4, maxAttempts: 5 }))).toBe(true)
    expect(retries(await attempt(plain, payload, { attempt: 3 }))).toBe(false)
  })

  test('AbortTaskError: no attempt follows, and its code and message are kept', async () => {
    const runId = randomUUID()
    const payload = await doing(() => {
      throw new AbortTaskError('hopeless')
    })
    const result = await attempt(plain, payload, { runId })
    expect(retries(result)).toBe(false)
    expect(errorOf(result)).toEqual({ name: 'AbortTaskError', code: 'TASK_ABORTED', message: 'hopeless' })
    expect(await recorded(runId)).toMatchObject([{ attempt: 1, result: 'failed', code: 'TASK_ABORTED' }])
  })

  test.each([
    ['of another shape', { text: 5 }, 'PAYLOAD_INVALID', 'text'],
    ['with a key too many', { text: 'x', more: 1 }, 'PAYLOAD_INVALID', 'more'],
    ['without a tenant', { text: 'x', tenantId: undefined }, 'PAYLOAD_INVALID', 'tenantId'],
    ['of an unknown tenant', { text: 'x', tenantId: 'nobody_here' }, 'TENANT_UNKNOWN', 'nobody_here'],
    ['that is no object', 'text', 'PAYLOAD_INVALID', 'deployed/echo'],
  ])('a payload %s: one attempt, and our error', async (_, payload, code, named) => {
    const runId = randomUUID()
    const own = typeof payload === 'string' ? payload : { tenantId: await kit.tenant(), ...payload }
    const result = await attempt(echo, own, { runId })
    expect(retries(result)).toBe(false)
    expect(errorOf(result)).toMatchObject({ code, message: expect.stringContaining(named) })
    expect(await recorded(runId)).toMatchObject([{ attempt: 1, result: 'failed', code }])
  })

  test('a timeout of ours aborts the signal and is retried by the rule', async () => {
    const runId = randomUUID()
    const payload = await doing(({ signal }) => ended(signal))
    const result = await attempt(brief, payload, { runId })
    expect(retries(result)).toBe(true)
    expect(errorOf(result)).toMatchObject({ code: 'RUN_TIMEOUT' })
    expect(await recorded(runId)).toMatchObject([{ result: 'retry', code: 'RUN_TIMEOUT' }])
  })

  test('a cancel aborts the signal with our reason; nothing is recorded', async () => {
    const runId = randomUUID()
    const cancel = new AbortController()
    const reasons: unknown[] = []
    const payload = await doing(async ({ signal }) => {
      setTimeout(() => cancel.abort('run was cancelled'), 10)
      await ended(signal).catch((reason) => {
        reasons.push(reason)
        throw new Error('the echo of the abort')
      })
    })
    const result = await attempt(plain, payload, { runId, signal: cancel.signal })
    expect(reasons).toEqual([expect.any(RunCancelledError)])
    expect(retries(result)).toBe(false)
    expect(errorOf(result)).toMatchObject({ code: 'RUN_CANCELLED' })
    expect(await recorded(runId)).toEqual([])
  })

  test.each([
    ['undefined', () => undefined],
    ['a string', () => 'just text'],
    ['a proxy that refuses everything', () => Proxy.revocable({}, {}).proxy],
    ['an error of ten megabytes', () => new Error('x'.repeat(10_000_000))],
  ])('throwing %s fails the attempt and nothing else', async (_, thrown) => {
    const payload = await doing(() => {
      throw thrown()
    })
    const result = await attempt(plain, payload)
    expect(retries(result)).toBe(true)
    expect(errorOf(result).message.length).toBeLessThan(5_000)
  })
})

describe('the id of a run', () => {
  test('one that the dashboard made has an id of its own, the same in every attempt', async () => {
    const payload = await doing(({ runId }) => runId)
    const options = { runId: null, triggerRunId: 'run_made_by_hand' }
    const first = await outputOf(await attempt(plain, payload, options))
    expect(first).toBe(derivedRunId('run_made_by_hand'))
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(await outputOf(await attempt(plain, payload, { ...options, attempt: 2 }))).toBe(first)
  })

  test('one that was replayed there is not the run whose tags it has', async () => {
    const runId = randomUUID()
    const payload = await doing((context) => context.runId)
    const options = { runId, triggerRunId: 'run_replayed', isReplay: true }
    const own = derivedRunId('run_replayed')
    expect(await outputOf(await attempt(plain, payload, options))).toBe(own)
    expect(platform.metadata.get('run_replayed')).toMatchObject({
      run: { id: own, replayOf: runId, parent: null, key: null, maxAttempts: 3 },
    })
    expect(platform.tags.get('run_replayed')).toEqual([`run:${own}`, expect.stringMatching(/^tenant:test_/)])
  })

  test('one that cannot be tagged runs all the same', async () => {
    platform.refuseTags = true
    const payload = await doing((context) => context.runId)
    const options = { runId: null, triggerRunId: 'run_untagged' }
    expect(await outputOf(await attempt(plain, payload, options))).toBe(derivedRunId('run_untagged'))
    platform.refuseTags = false
  })
})

describe('a run that comes back later waits in the same attempt', () => {
  test('snooze: a few seconds are slept, more are left to Trigger.dev', async () => {
    platform.onWait = over
    const runId = randomUUID()
    let calls = 0
    const payload = await doing(({ attempt }) => {
      calls += 1
      if (calls === 1) snooze(20)
      if (calls === 2) snooze('10m')
      return { calls, attempt }
    })
    const result = await attempt(plain, payload, { runId, triggerRunId: 'run_snoozes' })
    expect(await outputOf(result)).toEqual({ calls: 3, attempt: 1 })
    expect(platform.waits).toMatchObject([{ triggerRunId: 'run_snoozes' }])
    expect(platform.waits[0]!.ms).toBeGreaterThan(595_000)
    expect(platform.waits[0]!.ms).toBeLessThanOrEqual(600_000)
    expect(await recorded(runId)).toEqual([])
    // While it waits, the run says why; afterwards it does not.
    expect(readWaitingNote(platform.told[0])).toMatchObject({
      state: 'scheduled',
      by: null,
      reason: { code: 'SNOOZED' },
      until: expect.any(String),
    })
    expect(`${result.flushedMetadata?.data}${JSON.stringify(platform.told.slice(1))}`).toMatch(/"delete"|{}/)
    expect(platform.misfits).toEqual([])
  })

  test('an attempt that fails after it had waited is one attempt', async () => {
    platform.onWait = over
    const runId = randomUUID()
    let calls = 0
    const payload = await doing(() => {
      calls += 1
      if (calls === 1) snooze('1m')
      throw new Error('after all')
    })
    expect(retries(await attempt(plain, payload, { runId, attempt: 2 }))).toBe(true)
    expect(readWaitingNote(platform.told[0])).toMatchObject({ state: 'retrying' })
    expect(await recorded(runId)).toMatchObject([{ attempt: 2, result: 'retry', message: 'after all' }])
  })

  test('the note of a process that died while it waited is dropped by the next attempt', async () => {
    const note = { state: 'held', by: 'mux', until: null, reason: { message: 'held' } }
    const options = { triggerRunId: 'run_noted', attempt: 2, metadata: { waiting: note, own: 'kept' } }
    platform.metadata.set('run_noted', options.metadata)
    const payload = await doing(async () => {
      await expect.poll(() => platform.metadata.get('run_noted')).toEqual({ own: 'kept' })
      return 'done'
    })
    expect(await outputOf(await attempt(plain, payload, options))).toBe('done')
  })

  test('each execution has the whole timeout', async () => {
    let calls = 0
    const payload = await doing(async () => {
      calls += 1
      await new Promise((resolve) => setTimeout(resolve, 900))
      if (calls < 3) snooze(1)
      return calls
    })
    expect(await outputOf(await attempt(patient, payload))).toBe(3)
  })

  test('a cancel ends the wait, short or long', async () => {
    for (const duration of ['3s', '1h'] as const) {
      const cancel = new AbortController()
      let calls = 0
      const payload = await doing(() => {
        calls += 1
        setTimeout(() => cancel.abort(), 30)
        snooze(duration)
      })
      const result = await attempt(plain, payload, { signal: cancel.signal })
      expect(errorOf(result)).toMatchObject({ code: 'RUN_CANCELLED' })
      expect(retries(result)).toBe(false)
      expect(calls).toBe(1)
    }
  })

  test('a cancel that comes while Trigger.dev is asked to wait is not missed', async () => {
    const cancel = new AbortController()
    const payload = await doing(() => snooze('1h'))
    const asking = attempt(plain, payload, { signal: cancel.signal })
    await expect.poll(() => platform.told.length, { interval: 1 }).toBeGreaterThan(0)
    cancel.abort()
    expect(errorOf(await asking)).toMatchObject({ code: 'RUN_CANCELLED' })
  })

  test('where Trigger.dev cannot be asked to wait, the run does not run early and spends no attempt', async () => {
    platform.onWait = over
    platform.failNext = 1
    let calls = 0
    const payload = await doing(() => {
      calls += 1
      if (calls === 1) snooze('1h')
      return calls
    })
    expect(await outputOf(await attempt(plain, payload))).toBe(2)
    expect(platform.waits).toHaveLength(1)
  })
})

describe('a run that is held waits in the same attempt', () => {
  test('until its tenant has the credential', async () => {
    const runId = randomUUID()
    const payload = await doing(({ attempt }) => attempt)
    platform.onWait = async (wait) => {
      if (platform.waits.length === 2) await giveMux(payload.tenantId)
      over(wait)
    }
    const result = await attempt(asksMux, payload, { runId, triggerRunId: 'run_held' })
    expect(await outputOf(result)).toBe(1)
    expect(await recorded(runId)).toEqual([])
    expect(readWaitingNote(platform.told[0])).toMatchObject({
      state: 'held',
      by: 'mux',
      reason: { code: 'SERVICE_NOT_CONFIGURED' },
      until: null,
    })
    expect(platform.waits.length).toBe(2)
    // It looks again, ever more seldom.
    expect(platform.waits[1]!.ms).toBeGreaterThan(platform.waits[0]!.ms * 1.2)
  })

  test('a refused credential: other runs of the tenant do not ask with it', async () => {
    const [first, second] = [await doing(() => 'done'), await doing(() => 'done')]
    second.tenantId = first.tenantId
    const secret = await giveMux(first.tenantId)
    turnstile.accepted.delete(secret)
    const held: AskedWait[] = []
    platform.onWait = (wait) => void held.push(wait)
    const one = attempt(asksMux, first)
    await expect.poll(() => held.length).toBe(1)
    const other = attempt(asksMux, second)
    await expect.poll(() => held.length).toBe(2)
    expect(turnstile.asked(secret)).toBe(1)
    await giveMux(first.tenantId)
    platform.onWait = over
    held.forEach(over)
    expect([await outputOf(await one), await outputOf(await other)]).toEqual(['done', 'done'])
  })

  test('a hold that another process has placed is seen before anything is sent', async () => {
    const payload = await doing(() => 'done')
    const secret = await giveMux(payload.tenantId)
    const { database } = await kit.platform.ready()
    await database.query(
      `INSERT INTO public.platform_holds (tenant_id, service, reason, code, message)
       VALUES ($1, 'mux', 'refused', 'unauthorized', 'No')`,
      [payload.tenantId],
    )
    platform.onWait = async (wait) => {
      expect(turnstile.asked(secret)).toBe(0)
      await database.query('DELETE FROM public.platform_holds WHERE tenant_id = $1', [payload.tenantId])
      over(wait)
    }
    expect(await outputOf(await attempt(asksMux, payload))).toBe('done')
    expect(platform.waits).toHaveLength(1)
  })

  test('a suspended tenant: until it is resumed', async () => {
    const payload = await doing(() => 'done')
    await suspendTenant(payload.tenantId)
    platform.onWait = async (wait) => {
      if (platform.waits.length === 2) await resumeTenant(payload.tenantId)
      over(wait)
    }
    expect(await outputOf(await attempt(plain, payload))).toBe('done')
    expect(readWaitingNote(platform.told[0])).toMatchObject({ state: 'held', by: 'tenant' })
    expect(platform.waits).toHaveLength(2)
  })

  test('a provider that asks to wait: not before its time', async () => {
    const payload = await doing(() => 'done')
    const secret = await giveMux(payload.tenantId)
    turnstile.answerNext({ status: 429, headers: { 'retry-after': '3600' }, body: {} })
    platform.onWait = async (wait) => {
      const { database } = await kit.platform.ready()
      await database.query('DELETE FROM public.platform_holds WHERE tenant_id = $1', [payload.tenantId])
      over(wait)
    }
    expect(await outputOf(await attempt(asksMux, payload))).toBe('done')
    // It looks again meanwhile: the hold may be lifted.
    expect(platform.waits[0]!.ms).toBeGreaterThan(110_000)
    expect(turnstile.asked(secret)).toBe(2)
  })
})

test('many attempts at once do not mix', async () => {
  platform.onWait = over
  const results = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      let calls = 0
      const payload = await doing(({ runId }) => {
        calls += 1
        if (calls === 1) snooze('1m')
        return { n, runId }
      })
      const runId = randomUUID()
      const result = await attempt(plain, payload, { runId, triggerRunId: `run_many_${n}` })
      return { n, runId, output: await outputOf(result) }
    }),
  )
  for (const { n, runId, output } of results) expect(output).toEqual({ n, runId })
  const asked = platform.waits.map(({ triggerRunId }) => triggerRunId)
  expect(new Set(asked).size).toBe(20)
})

/** As a caller reads it. */
async function outputOf(result: TaskRunExecutionResult): Promise<unknown> {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return await parsePacket({ data: result.output, dataType: result.outputType })
}

function retries(result: TaskRunExecutionResult): boolean {
  return !result.ok && result.retry !== undefined
}

/** Rejects with the reason when the signal aborts. */
function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
