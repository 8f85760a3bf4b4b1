/** Attempts through Trigger.dev's real executor, in this process. worker-process.test.ts has its process. */
import { randomBytes } from 'node:crypto'
import { parsePacket, type TaskRunExecutionResult } from '@trigger.dev/core/v3'
import { afterAll, beforeAll, beforeEach } from 'vitest'
import { z } from 'zod'
import { setCredential } from '../../../src/default-platform.ts'
import { readRunError } from '../../../src/engines/trigger/run-error.ts'
import type { TaskContext } from '../../../src/task/context.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
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
export const plain = defineTask({ id: 'deployed/plain', payload: tenantPayload({ act }), retry, run })
export const brief = defineTask({
  id: 'deployed/brief',
  payload: tenantPayload({ act }),
  retry,
  timeout: 40,
  run,
})
export const patient = defineTask({
  id: 'deployed/patient',
  payload: tenantPayload({ act }),
  timeout: '2s',
  run,
})
export const asksMux = defineTask({
  id: 'deployed/asks-mux',
  payload: tenantPayload({ act }),
  services: ['mux'],
  async run({ act }, context) {
    await context.clients.mux.video.assets.list({ limit: 1 })
    return acts[act]!(context as TaskContext)
  },
})
export const echo = defineTask({
  id: 'deployed/echo',
  payload: tenantPayload({ text: z.string().transform((text) => `<${text}>`), count: z.number().default(1) }),
  run: (parsed) => parsed,
})

export let kit: TestPlatform
export let turnstile: Turnstile
let executor: Executor
/** What Trigger.dev's platform is to a run. */
export const platform = new WaitServer()
/** What ends a wait, by its waitpoint. */
const waitpoints = new Map<string, PromiseWithResolvers<void>>()

/** Once in each file of tests. */
export function onExecutor(): void {
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
}

function waitpointOf(id: string): PromiseWithResolvers<void> {
  const found = waitpoints.get(id) ?? Promise.withResolvers<void>()
  waitpoints.set(id, found)
  return found
}

export const over = ({ waitpointId }: AskedWait) => waitpointOf(waitpointId).resolve()

export async function attempt(
  task: { id: string },
  payload: unknown,
  { signal = new AbortController().signal, ...options }: ExecutionOptions & { signal?: AbortSignal } = {},
): Promise<TaskRunExecutionResult> {
  return await executor.runAttempt(task.id, executionOf(task.id, payload, options), signal)
}

/** A payload with which a task of these does what `fn` says. */
export async function doing(fn: Act): Promise<{ tenantId: string; act: number }> {
  return { tenantId: await kit.tenant(), act: acts.push(fn) - 1 }
}

export async function recorded(runId: string): Promise<unknown[]> {
  const { database } = await kit.platform.ready()
  const { rows } = await database.query(
    `SELECT attempt, result, task_id AS "taskId", tenant_id AS "tenantId", error->>'code' AS code,
       error->>'message' AS message, started_at <= finished_at AS "inOrder", worker LIKE 'trigger.dev %' AS "byTrigger"
     FROM public.platform_attempts WHERE run_id = $1 ORDER BY attempt`,
    [runId],
  )
  return rows
}

export function errorOf(result: TaskRunExecutionResult): {
  name: string
  code: string | null
  message: string
} {
  if (result.ok || result.error.type !== 'BUILT_IN_ERROR') throw new Error(JSON.stringify(result))
  const { name, code, message } = readRunError(result.error)
  return { name, code, message }
}

export async function giveMux(tenantId: string): Promise<string> {
  const secret = `mux-secret-${randomBytes(8).toString('hex')}`
  turnstile.accepted.add(secret)
  await setCredential(tenantId, 'mux', { token_id: 'token-of-the-test', token_secret: secret })
  return secret
}

/** As a caller reads it. */
export async function outputOf(result: TaskRunExecutionResult): Promise<unknown> {
  if (!result.ok) throw new Error(JSON.stringify(result.error))
  return await parsePacket({ data: result.output, dataType: result.outputType })
}

export function retries(result: TaskRunExecutionResult): boolean {
  return !result.ok && result.retry !== undefined
}

/** Rejects with the reason when the signal aborts. */
export function ended(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
