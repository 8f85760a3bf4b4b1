/**
 * What every behaviour stands on: one platform per file, on the engine under test, with tasks that do what the test
 * says. Time is moved, not slept: delays in here are a minute or more.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, onTestFinished } from 'vitest'
import { z } from 'zod'
import { runs, setCredential } from '../../../src/default-platform.ts'
import type { Engine, Worker } from '../../../src/engines/engine.ts'
import type { WorkerOptions } from '../../../src/engines/worker-options.ts'
import type { PlatformOptions } from '../../../src/platform.ts'
import type { TaskContext } from '../../../src/task/context.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import type { RunState } from '../../../src/task/run.ts'
import { Turnstile } from '../../fixtures/providers/turnstile.ts'
import { type Host, hostHere } from './host.ts'

type Act = (context: TaskContext) => unknown

const acts: Act[] = []

/** A payload part: the run does what `act` says. */
export function doing(act: Act): { act: number } {
  return { act: acts.push(act) - 1 }
}

const payload = tenantPayload({ act: z.number(), note: z.string().default('none') })
const run = ({ act }: { act: number }, context: TaskContext) => acts[act]!(context)
const retry = { maxAttempts: 3, minDelay: '1m', maxDelay: '30m' } as const

export const plain = defineTask({ id: 'conformance/plain', payload, retry, run })
export const other = defineTask({ id: 'conformance/other', payload, retry, run })
export const limited = defineTask({
  id: 'conformance/limited',
  payload,
  retry,
  concurrency: { perTenant: 2 },
  run,
})
export const brief = defineTask({ id: 'conformance/brief', payload, retry, timeout: 40, run })

/** Each asks its tenant's Mux once, and then does what the test says. */
const asking = {
  payload: tenantPayload({ act: z.number().optional() }),
  services: ['mux'],
  retry,
  async run({ act }: { act?: number | undefined }, context: TaskContext<'mux'>) {
    await context.clients.mux.video.assets.list({ limit: 1 })
    return act === undefined ? context.attempt : acts[act]!(context as TaskContext)
  },
} as const
export const asksMux = defineTask({ id: 'conformance/asks-mux', ...asking })
export const asksMuxLimited = defineTask({
  id: 'conformance/asks-mux-limited',
  ...asking,
  concurrency: { perTenant: 2 },
})

/** Answers its payload as `run` sees it. */
export const echo = defineTask({
  id: 'conformance/echo',
  payload: tenantPayload({ text: z.string().transform((text) => `<${text}>`), count: z.number().default(1) }),
  run: (parsed) => parsed,
})

/** An older definition of `echo`, as an app that was deployed before still triggers it. */
export const olderEcho = defineTask({
  id: 'conformance/echo',
  payload: tenantPayload({ text: z.union([z.string(), z.number()]) }),
  run: () => null,
})

export let kit: Host
/** Where Mux is. */
export let turnstile: Turnstile

export function onEngine(engine: Engine['name']): void {
  beforeAll(async () => {
    turnstile = await new Turnstile().listen()
    const options: PlatformOptions = {
      tasks: [plain, other, limited, brief, echo, asksMux, asksMuxLimited],
      encryptionKeys: randomBytes(32).toString('base64'),
      services: { mux: { baseUrl: turnstile.url } },
    }
    kit =
      engine === 'trigger.dev'
        ? await (await import('../trigger/host.ts')).hostOnTriggerDev(options)
        : await hostHere(engine, options)
  })
  afterAll(async () => {
    await kit.close()
    await turnstile.close()
  })
}

/** A worker that ends with the test. */
export async function work(options: WorkerOptions = {}): Promise<Worker> {
  const worker = await kit.work({ concurrency: 10, ...options })
  onTestFinished(() => worker.stop({ timeoutMs: 0 }))
  return worker
}

/** A Mux credential for the tenant that the turnstile takes. Answers its secret. */
export async function giveMux(tenantId: string): Promise<string> {
  const secret = `mux-secret-${randomBytes(8).toString('hex')}`
  turnstile.accepted.add(secret)
  await setCredential(tenantId, 'mux', { token_id: 'token-of-the-test', token_secret: secret })
  return secret
}

export async function stateOf(run: { id: string }): Promise<RunState> {
  return (await runs.get(run.id)).state
}

/** A promise to be settled by the test, as a gate for its runs. */
export function gate<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>()
}

/** Settles when the signal aborts, with its reason. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason)
    signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
  })
}
