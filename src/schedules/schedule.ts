/** A schedule of the platform, and what it is called: `orders/reconcile:default`, or for short `orders/reconcile`. */
import { InvalidScheduleError } from '../errors.ts'
import type { AnyTask } from '../task/define.ts'
import type { TaskRegistry } from '../task/registry.ts'
import { defaultKey, isScheduleKey, type ScheduleRule } from '../task/schedule.ts'

export interface ScheduleKey {
  taskId: string
  key: string
}

export interface Schedule extends ScheduleKey {
  task: AnyTask
  /** What the task says; of an extra schedule, which no task declares, what is not a row's to say. */
  rule: Omit<ScheduleRule, 'cron' | 'timezone'> & { cron: string | null; timezone: string | null }
}

export function scheduleId({ taskId, key }: ScheduleKey): string {
  return `${taskId}:${key}`
}

/** @throws InvalidScheduleError */
export function parseScheduleId(text: unknown): ScheduleKey {
  const [taskId = '', key = defaultKey, ...rest] = typeof text === 'string' ? text.split(':') : []
  if (taskId !== '' && isScheduleKey(key) && rest.length === 0) return { taskId, key }
  throw new InvalidScheduleError(
    'A schedule is named by its task and its key: orders/reconcile:default, or orders/reconcile for short.',
  )
}

/** Those that tasks declare. */
export function declaredSchedules(registry: TaskRegistry): Schedule[] {
  return registry
    .list()
    .flatMap((task) => task.schedules.map((rule) => ({ taskId: task.id, key: rule.key, task, rule })))
}

export function findDeclared(task: AnyTask, key: string): Schedule | null {
  const rule = task.schedules.find((one) => one.key === key)
  return rule ? { taskId: task.id, key, task, rule } : null
}

/** One that a tenant has besides those of the task: cron, time zone and payload are in its row. */
export function extraSchedule(task: AnyTask, key: string): Schedule {
  const rule = {
    key,
    cron: null,
    timezone: null,
    onlyTenant: null,
    catchUp: 'once',
    overlap: 'allow',
    windowMs: 0,
    payload: {},
  } as const
  return { taskId: task.id, key, task, rule }
}
