/** Whether the catalogue of a deploy says of each task what its definition says. */
import { isDeepStrictEqual } from 'node:util'
import type { AnyTask } from '../../task/define.ts'
import type { TaskIndex } from './build.ts'
import { toDeployed } from './deploy.ts'
import { tickTaskId } from './tick.ts'

export interface Difference {
  taskId: string
  what: 'task' | 'schema' | 'queue' | 'retry' | 'duration' | 'ttl'
  /** A sentence without its subject, the task. */
  problem: string
}

export function findDifferences(tasks: readonly AnyTask[], index: TaskIndex): Difference[] {
  const indexed = new Map(index.tasks.map((task) => [task.id, task]))
  const registered = new Set(tasks.map(({ id }) => id))
  const unknown = index.tasks.filter(({ id }) => !registered.has(id) && id !== tickTaskId)
  return [
    ...(indexed.has(tickTaskId) ? [] : [withoutTicks]),
    ...tasks.flatMap((task) => {
      const found = indexed.get(task.id)
      return found ? compareTask(task, found, index) : [missing(task.id)]
    }),
    ...unknown.map(({ id, filePath }) => surplus(id, filePath)),
  ]
}

const withoutTicks: Difference = {
  taskId: tickTaskId,
  what: 'task',
  problem: 'is what ticks the schedules, and Trigger.dev does not find it: call toTriggerTasks',
}

function missing(taskId: string): Difference {
  const problem = 'is in the registry, and Trigger.dev does not find it: pass it to toTriggerTasks'
  return { taskId, what: 'task', problem }
}

function surplus(taskId: string, filePath = 'a file'): Difference {
  const problem = `is found by Trigger.dev in ${filePath}, and is not in the registry`
  return { taskId, what: 'task', problem }
}

function compareTask(task: AnyTask, found: TaskIndex['tasks'][number], { queues }: TaskIndex): Difference[] {
  const wanted = toDeployed(task)
  const differences: Difference[] = []
  const compare = (what: Difference['what'], name: string, ours: unknown, theirs: unknown) => {
    if (isDeepStrictEqual(plainly(ours), plainly(theirs))) return
    const problem = `${name} is ${text(theirs)} for Trigger.dev, and ${text(ours)} in the registry`
    differences.push({ taskId: task.id, what, problem })
  }
  for (const [name, ours] of Object.entries(wanted.retry)) {
    compare('retry', `retry.${name}`, ours, found.retry?.[name])
  }
  compare('duration', 'maxDuration', wanted.maxDuration, found.maxDuration)
  compare('ttl', 'ttl', wanted.ttl, found.ttl)
  compare('queue', 'its queue', wanted.queue?.name, found.queue?.name)
  if (wanted.queue) {
    const { name, concurrencyLimit } = wanted.queue
    const queue = queues.find((one) => one.name === name)
    compare('queue', `the limit of ${name}`, concurrencyLimit, queue?.concurrencyLimit ?? undefined)
  }
  if (!isDeepStrictEqual(plainly(wanted.jsonSchema), plainly(found.payloadSchema))) {
    const problem = `the schema of its payload is not that of the registry${placesOf(wanted.jsonSchema, found.payloadSchema)}`
    differences.push({ taskId: task.id, what: 'schema', problem })
  }
  return differences
}

/** Which fields differ; the schemas themselves are too long for a line. */
function placesOf(ours: Record<string, unknown>, theirs: unknown): string {
  const [own, other] = [propertiesOf(ours), propertiesOf(theirs)]
  const names = [...new Set([...Object.keys(own), ...Object.keys(other)])]
  const different = names.filter((name) => !isDeepStrictEqual(plainly(own[name]), plainly(other[name])))
  return different.length > 0 ? `: ${different.join(', ')}` : ''
}

function propertiesOf(schema: unknown): Record<string, unknown> {
  if (typeof schema !== 'object' || schema === null || !('properties' in schema)) return {}
  return (schema.properties ?? {}) as Record<string, unknown>
}

/** As it arrives: through JSON. */
function plainly(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

function text(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value)
}
