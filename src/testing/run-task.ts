/** One attempt of a task in place, as a worker would make it: payload parsed, tenant's context open, timeout running. */
import { randomUUID } from 'node:crypto'
import type { z } from 'zod'
import { leaveScopes } from '../db/scope.ts'
import { RunTimeoutError } from '../errors.ts'
import type { Platform } from '../platform.ts'
import type { AnyTask, Task } from '../task/define.ts'
import { execute } from '../task/execute.ts'
import type { RunError } from '../task/json.ts'
import { acceptPayload, type PayloadSchema } from '../task/payload.ts'

export interface RunTaskOptions {
  /** Which attempt this is; 1 by default. */
  attempt?: number
  /** Aborts the run. */
  signal?: AbortSignal
  /** Instead of a random one: idempotency keys are made of it. */
  runId?: string
}

export async function runTask<Schema extends PayloadSchema, Output>(
  platform: Platform,
  task: Task<string, Schema, Output>,
  payload: z.input<Schema>,
  { attempt = 1, signal = new AbortController().signal, runId = randomUUID() }: RunTaskOptions,
): Promise<Output> {
  const { dispatcher, logger, config } = platform
  // What `trigger` would refuse is refused with the same errors.
  const { tenantId, input } = await acceptPayload(task.id, task.schema, payload, config.maxPayloadBytes)
  await dispatcher.admitTenant(tenantId)
  const { database, clients, holds } = await platform.ready()
  const ended: { output?: Output; thrown?: { value: unknown } } = {}
  const observed: AnyTask = {
    ...(task as AnyTask),
    run: async (...args) => {
      try {
        ended.output = await (task as AnyTask).run(...args)
        return ended.output
      } catch (thrown) {
        ended.thrown = { value: thrown }
        throw thrown
      }
    },
  }
  const info = { runId, attempt, maxAttempts: Math.max(attempt, task.retry.maxAttempts), signal }
  const { outcome } = await leaveScopes(() =>
    execute(observed, input, info, {
      database,
      dispatcher,
      services: { clients, holds },
      logger,
      whileWaiting: withWorker(platform),
    }),
  )
  if (outcome.kind === 'completed') return ended.output as Output
  const error = 'error' in outcome ? outcome.error : null
  if (error?.code === 'RUN_TIMEOUT') throw new RunTimeoutError(task.timeoutMs)
  if (ended.thrown) throw ended.thrown.value
  throw signal.aborted ? signal.reason : asError(error)
}

/** A run that waits for a child needs somebody to run the child. */
function withWorker(platform: Platform): <T>(wait: () => Promise<T>) => Promise<T> {
  return async (wait) => {
    const worker = await platform.startWorker({ schedules: false })
    try {
      return await wait()
    } finally {
      await worker.stop()
    }
  }
}

function asError(error: RunError | null): Error {
  return Object.assign(new Error(error?.message ?? 'The run did not complete.'), {
    code: error?.code ?? null,
  })
}
