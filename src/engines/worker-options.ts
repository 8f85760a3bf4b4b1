/** What a worker may be told when it is started, checked before anything connects. */
import { ConfigError, InvalidTaskError } from '../errors.ts'
import type { SettledEvent } from './engine.ts'

export interface WorkerOptions {
  /** Task ids, or prefixes like `orders/*`; all by default. */
  only?: readonly string[]
  /** Runs in flight at once. */
  concurrency?: number
  /** Whether it ticks the schedules of all tasks as well; true by default. Of several workers, any may. */
  schedules?: boolean
  /** Told of every attempt that has been settled. */
  onSettled?(event: SettledEvent): void
}

const workerOptions: readonly string[] = [
  'only',
  'concurrency',
  'schedules',
  'onSettled',
] satisfies (keyof WorkerOptions)[]

/** @throws ConfigError, InvalidTaskError */
export function checkWorkerOptions(options: WorkerOptions): void {
  refuseOtherThanObject(options, 'startWorker()')
  const unknown = Object.keys(options).find((key) => !workerOptions.includes(key))
  if (unknown !== undefined) throw new ConfigError(`startWorker() has no option ${unknown}.`)
  const { only, schedules, onSettled } = options
  if (onSettled !== undefined && typeof onSettled !== 'function') {
    throw new ConfigError('onSettled must be a function.')
  }
  if (schedules !== undefined && typeof schedules !== 'boolean') {
    throw new ConfigError('schedules must be true or false.')
  }
  const isList = Array.isArray(only) && only.length > 0 && only.every((one) => typeof one === 'string')
  if (only !== undefined && !isList) {
    throw new InvalidTaskError('A worker runs only some tasks: name at least one id or prefix like orders/*.')
  }
}

export function refuseOtherThanObject(options: unknown, what: string): void {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return
  throw new ConfigError(`The options of ${what} must be an object.`)
}
