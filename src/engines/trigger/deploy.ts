/**
 * The run side: every task of a registry as a task of Trigger.dev. Nothing here connects or reads the environment before
 * a run has come.
 *
 * The schema goes along as JSON Schema and is not given to Trigger.dev to parse with: it would parse what its own
 * `trigger` had parsed already, so transforms would be applied twice. `execute` parses, once, as on every engine.
 */
import { task as defineTriggerTask, metadata, type Task as TriggerTask } from '@trigger.dev/sdk'
import { InvalidPayloadError } from '../../errors.ts'
import type { AnyTask } from '../../task/define.ts'
import { storableError } from '../../task/json.ts'
import { TaskRegistry } from '../../task/registry.ts'
import type { TraceCarrier } from '../../telemetry/trace-carrier.ts'
import { adopt } from './adopt.ts'
import { maxDurationSeconds } from './max-duration.ts'
import { isOf } from './owner.ts'
import { payloadJsonSchema } from './payload-schema.ts'
import { type RunHost, runOnTrigger } from './run.ts'
import { RunFailedError, retryOf } from './run-error.ts'
import { readFacts } from './run-facts.ts'
import { isStandIn } from './stand-in.ts'
import { tenantInTags } from './tags.ts'
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
    maxDuration: maxDurationSeconds(task),
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
      if (isStandIn(input)) return null
      const { attempt, run } = ctx
      const maxAttempts = run.maxAttempts ?? task.retry.maxAttempts
      const runId = await adopt(run, input, maxAttempts, host)
      refuseOtherTenant(task.id, run.tags, input)
      const about = {
        runId,
        triggerId: run.id,
        attempt: attempt.number,
        maxAttempts,
        signal,
        trace: carriedTrace(),
      }
      return await runOnTrigger(task, input, about, host)
    },
    catchError: ({ error }) => retryOf(error),
  })
}

/** Of the run that this process is running. */
function carriedTrace(): TraceCarrier | undefined {
  return readFacts(metadata.current())?.trace ?? undefined
}

/** The dashboard replays with whatever payload it is given. What has been read, limited and tagged as one tenant's stays so. */
function refuseOtherTenant(taskId: string, tags: readonly string[], input: unknown): void {
  const tenantId = tenantInTags(tags)
  if (tenantId === null || isOf(tenantId, input, readFacts(metadata.current()))) return
  const message = `must stay "${tenantId}": a replay belongs to the tenant of its run. For another tenant, trigger the task anew`
  throw new RunFailedError(storableError(new InvalidPayloadError(taskId, [{ path: 'tenantId', message }])))
}
