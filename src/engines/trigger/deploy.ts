/**
 * The run side: every task of a registry as a task of Trigger.dev. Nothing here connects or reads the environment before
 * a run has come.
 *
 * The schema goes along as JSON Schema and is not given to Trigger.dev to parse with: it would parse what its own
 * `trigger` had parsed already, so transforms would be applied twice. `execute` parses, once, as on every engine.
 */
import { task as defineTriggerTask, metadata, type Task as TriggerTask } from '@trigger.dev/sdk'
import { z } from 'zod'
import type { AnyTask } from '../../task/define.ts'
import { TaskRegistry } from '../../task/registry.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'
import { adopt } from './adopt.ts'
import { type RunHost, runOnTrigger, tenantOf } from './run.ts'
import { retryOf } from './run-error.ts'
import { readFacts } from './run-facts.ts'
import { defineTickTask } from './tick.ts'

/** What Trigger.dev is told of a task; `cgk deploy:check` holds the index to it. */
export interface Deployed {
  id: string
  jsonSchema: Record<string, unknown>
  /** Read by Trigger.dev where the process itself has died. Otherwise the outcome says what happens. */
  retry: {
    maxAttempts: number
    minTimeoutInMs: number
    maxTimeoutInMs: number
    factor: number
    randomize: boolean
  }
  /** Seconds. */
  maxDuration: number
  /** Without one, the task has a queue of its own, limited by its environment alone. */
  queue?: { name: string; concurrencyLimit: number }
  /** 0: a run waits for ever, unless its trigger says otherwise. */
  ttl: number
}

/**
 * Our own timeout decides, for each execution. Trigger.dev adds up all executions of an attempt, and a run that asks
 * again and again whether a provider has finished has many: an hour of them, waiting not counted.
 */
const manyExecutionsSeconds = 3_600
const leastDurationSeconds = 5

export function toDeployed(task: AnyTask): Deployed {
  const { maxAttempts, minDelayMs, maxDelayMs, factor } = task.retry
  return {
    id: task.id,
    jsonSchema: payloadJsonSchema(task),
    retry: {
      maxAttempts,
      minTimeoutInMs: minDelayMs,
      maxTimeoutInMs: maxDelayMs,
      factor,
      randomize: true,
    },
    maxDuration: leastDurationSeconds + Math.ceil(task.timeoutMs / 1000) + manyExecutionsSeconds,
    // Runs carry their tenant as concurrencyKey, and Trigger.dev applies the limit of a queue to each key.
    ...(task.perTenant !== null && { queue: { name: `task/${task.id}`, concurrencyLimit: task.perTenant } }),
    ttl: 0,
  }
}

export function defineTriggerTasks(
  tasks: readonly AnyTask[],
  host: RunHost,
): TriggerTask<string, unknown, unknown>[] {
  defineTickTask(host)
  return new TaskRegistry(tasks).list().map((task) => toTriggerTask(task, host))
}

function toTriggerTask(task: AnyTask, host: RunHost): TriggerTask<string, unknown, unknown> {
  return defineTriggerTask({
    ...toDeployed(task),
    run: async (input: unknown, { ctx, signal }) => {
      const { attempt, run } = ctx
      const maxAttempts = run.maxAttempts ?? task.retry.maxAttempts
      const runId = await adopt(run, tenantOf(input), maxAttempts, host.logger)
      const trace = carriedTrace()
      return await runOnTrigger(
        task,
        input,
        { runId, attempt: attempt.number, maxAttempts, signal, trace },
        host,
      )
    },
    catchError: ({ error }) => retryOf(error),
  })
}

/** Of the run that this process is running. */
function carriedTrace(): TraceCarrier | undefined {
  return readFacts(metadata.current())?.trace ?? undefined
}

/** As callers write it: before defaults and transforms. What JSON Schema cannot say is left open. */
export function payloadJsonSchema(task: AnyTask): Record<string, unknown> {
  return z.toJSONSchema(task.schema as z.ZodType, {
    io: 'input',
    target: 'draft-7',
    unrepresentable: 'any',
  }) as Record<string, unknown>
}
