/** `defineTask`: one definition of a piece of background work, the same for every engine. */
import type { z } from 'zod'
import { InvalidTaskError } from '../errors.ts'
import { isServiceName, type ServiceName, serviceNames } from '../services/registry.ts'
import type { TaskContext } from './context.ts'
import { type Duration, parseDuration } from './duration.ts'
import type { TriggerOptions } from './options.ts'
import { type PayloadSchema, type RequiresTenantId, strictPayload } from './payload.ts'
import { type RetryOptions, type RetryRule, readRetryRule } from './retry.ts'
import type { RunHandle, RunResult } from './run.ts'
import { readSchedules, type ScheduleRule, type TaskSchedule } from './schedule.ts'
import { type BatchItem, batchTrigger, trigger, triggerAndWait, type WaitOptions } from './trigger.ts'
import { readWebhooks, type TaskWebhook } from './webhook.ts'

export interface TaskOptions<
  Id extends string,
  Schema extends PayloadSchema,
  Output,
  Services extends ServiceName = never,
> {
  /** `<domain>/<verb>`, the path of its file under tasks/. It is the queue's name: renaming it leaves old runs behind. */
  id: Id
  /** A zod object that requires `tenantId`; `tenantPayload({ ... })` makes one. */
  payload: Schema & RequiresTenantId<Schema>
  /** The services it uses. Their clients are in `context.clients`; a tenant without one has its runs held. */
  services?: readonly Services[]
  /** Events of providers that trigger a run. */
  webhooks?: readonly TaskWebhook<Schema>[]
  /** Times at which it runs by itself, for each tenant. */
  schedules?: readonly TaskSchedule<Schema>[]
  /** 3 attempts, exponential from 1 s, by default. */
  retry?: RetryOptions
  /** Runs of one tenant at once, over all workers. */
  concurrency?: { perTenant: number }
  /** How long one attempt may take; '15m' by default, at most '23h'. */
  timeout?: Duration
  /** The work. Runs inside `withTenant(payload.tenantId)`, at least once: make side effects safe to repeat. */
  run(
    payload: z.output<Schema> & { tenantId: string },
    context: TaskContext<Services>,
  ): Output | Promise<Output>
}

export interface Task<
  Id extends string = string,
  Schema extends PayloadSchema = PayloadSchema,
  Output = unknown,
> {
  readonly id: Id
  readonly schema: Schema
  readonly services: readonly ServiceName[]
  readonly webhooks: readonly TaskWebhook[]
  readonly schedules: readonly ScheduleRule[]
  readonly retry: RetryRule
  readonly perTenant: number | null
  readonly timeoutMs: number
  /** `context.clients` has what `services` names. */
  readonly run: TaskOptions<Id, Schema, Output, ServiceName>['run']
  /** Queues a run. Refuses a payload or an option it cannot use before anything is queued. */
  trigger(payload: z.input<Schema>, options?: TriggerOptions): Promise<RunHandle>
  /** Queues all or none, in order, in as few statements as possible. */
  batchTrigger(items: readonly BatchItem<z.input<Schema>>[]): Promise<RunHandle[]>
  /** Queues a run and answers when it has ended, well or not. Inside a run, waiting holds no worker slot. */
  triggerAndWait(payload: z.input<Schema>, options?: TriggerOptions & WaitOptions): Promise<RunResult<Output>>
}

/** A task whatever its payload and output; what a registry holds. */
// biome-ignore lint/suspicious/noExplicitAny: a list of tasks holds different schemas, which only `any` unifies.
export type AnyTask = Task<string, any, any>

const idPattern = /^[a-z0-9]+(-[a-z0-9]+)*(\/[a-z0-9]+(-[a-z0-9]+)*)*$/
const longestTimeoutMs = 23 * 3_600_000

export function defineTask<
  const Id extends string,
  Schema extends PayloadSchema,
  Output,
  const Services extends ServiceName = never,
>(options: TaskOptions<Id, Schema, Output, Services>): Task<Id, Schema, Output> {
  const { id, run } = options
  if (typeof id !== 'string' || !idPattern.test(id) || id.length > 100) {
    throw new InvalidTaskError(
      `${JSON.stringify(id)} is not a task id. Use lower-case words joined by - and /, as in orders/process-order.`,
    )
  }
  if (typeof run !== 'function') throw new InvalidTaskError(`The task ${id} has no run function.`)
  const perTenant = options.concurrency?.perTenant ?? null
  if (perTenant !== null && !(Number.isInteger(perTenant) && perTenant >= 1)) {
    throw new InvalidTaskError(`concurrency.perTenant of ${id} must be a whole number of at least 1.`)
  }
  const timeoutMs = parseDuration(options.timeout ?? '15m', 1, longestTimeoutMs)
  if (timeoutMs === null) {
    throw new InvalidTaskError(`The timeout of ${id} must be a duration like '2m', at most '23h'.`)
  }
  const schema = strictPayload<Schema>(id, options.payload)
  const task: Task<Id, Schema, Output> = {
    id,
    schema,
    services: readServices(id, options.services ?? []),
    webhooks: readWebhooks(id, options.webhooks ?? []),
    schedules: readSchedules<Schema>(id, schema, options.schedules ?? []),
    retry: readRetryRule(id, options.retry ?? {}),
    perTenant,
    timeoutMs,
    // Its context has the clients that `services` names, which the type of a task in a list cannot say.
    run: run as Task<Id, Schema, Output>['run'],
    trigger: (payload, triggerOptions) => trigger(task, payload, triggerOptions),
    batchTrigger: (items) => batchTrigger(task, items),
    triggerAndWait: (payload, triggerOptions) => triggerAndWait(task, payload, triggerOptions),
  }
  definedTasks.add(task)
  return Object.freeze(task)
}

function readServices(taskId: string, services: readonly ServiceName[]): readonly ServiceName[] {
  const unknown = Array.isArray(services) ? services.find((name) => !isServiceName(name)) : services
  if (unknown === undefined) return Object.freeze([...new Set(services)])
  throw new InvalidTaskError(`services of ${taskId} must be a list of some of ${serviceNames.join(', ')}.`)
}

const definedTasks = new WeakSet<object>()

/** True for what `defineTask` of this package made. */
export function isTask(value: unknown): value is AnyTask {
  return typeof value === 'object' && value !== null && definedTasks.has(value)
}
