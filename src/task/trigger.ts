/**
 * The way into a queue: validate the payload, tenant known and active, admit, enqueue. Whatever is refused is refused
 * before anything is queued.
 */
import { randomUUID } from 'node:crypto'
import { InvalidTriggerOptionsError, TenantMismatchError } from '../errors.ts'
import { currentRun } from './context.ts'
import type { AnyTask } from './define.ts'
import { currentDispatcher, type Dispatcher } from './dispatcher.ts'
import { type Duration, parseDuration } from './duration.ts'
import { readTriggerOptions, type TriggerOptions } from './options.ts'
import { acceptPayload } from './payload.ts'
import type { Run, RunHandle, RunRequest, RunResult } from './run.ts'

export interface BatchItem<Payload> {
  payload: Payload
  options?: TriggerOptions
}

export interface WaitOptions {
  /** Give up waiting after this long (the run goes on); '10m' by default. */
  timeout?: Duration
  /** Stop waiting when this aborts. */
  signal?: AbortSignal
}

export async function trigger(task: AnyTask, payload: unknown, options?: TriggerOptions): Promise<RunHandle> {
  const dispatcher = currentDispatcher()
  const request = await prepare(dispatcher, task, payload, options)
  const [handle] = await dispatcher.enqueue([request])
  return handle!
}

export async function batchTrigger(
  task: AnyTask,
  items: readonly BatchItem<unknown>[],
): Promise<RunHandle[]> {
  const dispatcher = currentDispatcher()
  const requests: RunRequest[] = []
  for (const item of items) requests.push(await prepare(dispatcher, task, item.payload, item.options))
  return requests.length === 0 ? [] : await dispatcher.enqueue(requests)
}

export async function triggerAndWait<Output>(
  task: AnyTask,
  payload: unknown,
  { timeout = '10m', signal, ...options }: TriggerOptions & WaitOptions = {},
): Promise<RunResult<Output>> {
  const timeoutMs = parseDuration(timeout, 1)
  if (timeoutMs === null) throw new InvalidTriggerOptionsError("timeout must be a duration like '30s'.")
  const dispatcher = currentDispatcher()
  if (dispatcher.insideTransaction()) {
    throw new InvalidTriggerOptionsError(
      `${task.id} cannot be waited for inside transaction(): its run exists only once that has committed. Trigger it inside, and wait outside with runs.wait(id).`,
    )
  }
  const { id } = await trigger(task, payload, options)
  const parent = currentRun()
  const until = signal ?? parent?.signal
  const wait = () => dispatcher.waitFor(id, until ? { timeoutMs, signal: until } : { timeoutMs })
  return asResult<Output>(parent ? await parent.whileWaiting(wait) : await wait())
}

export function asResult<Output>(run: Run): RunResult<Output> {
  if (run.state === 'completed') return { ok: true, id: run.id, output: run.output as Output }
  if (run.state === 'failed' || run.state === 'cancelled' || run.state === 'expired') {
    return { ok: false, id: run.id, state: run.state, error: run.error }
  }
  throw new TypeError(`Run ${run.id} is ${run.state}; it has no result yet.`)
}

async function prepare(
  dispatcher: Dispatcher,
  task: AnyTask,
  payload: unknown,
  options: TriggerOptions = {},
): Promise<RunRequest> {
  const { tenantId, input } = await acceptPayload(task.id, task.schema, payload, dispatcher.maxPayloadBytes)
  const settings = readTriggerOptions(options, { maxAttempts: task.retry.maxAttempts })
  const surrounding = dispatcher.currentTenant()
  if (surrounding !== null && surrounding !== tenantId) throw new TenantMismatchError(surrounding, tenantId)
  await dispatcher.admitTenant(tenantId)
  return {
    id: randomUUID(),
    taskId: task.id,
    tenantId,
    input,
    parentRunId: currentRun()?.runId ?? null,
    ...settings,
  }
}
