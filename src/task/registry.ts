/** The tasks of a platform by their ids, and the checks that make an id mean one task. */
import { statSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { z } from 'zod'
import { ConfigError, InvalidTaskError, UnknownTaskError } from '../errors.ts'
import { type AnyTask, isTask, type Task } from './define.ts'

/**
 * Augmented by an app, in the file of its registry, so that `tasks.trigger(id, payload)` knows ids and payloads:
 *
 *     declare module '@cgk-platform/jobs' {
 *       interface Register { tasks: typeof registry }
 *     }
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty until an app augments it.
export interface Register {}

type RegisteredTask = Register extends { tasks: readonly (infer T extends AnyTask)[] } ? T : AnyTask

/** The ids of the registered tasks; any text where no registry is declared. */
export type TaskId = RegisteredTask['id']

type TaskById<Id extends TaskId> = Extract<RegisteredTask, { id: Id }>

/** What the task with this id takes. */
export type PayloadOf<Id extends TaskId> =
  TaskById<Id> extends Task<string, infer Schema, infer _Output> ? z.input<Schema> : never

export class TaskRegistry {
  readonly #tasks = new Map<string, AnyTask>()

  constructor(tasks: readonly AnyTask[]) {
    if (!Array.isArray(tasks)) throw new InvalidTaskError('A registry is a list of tasks made by defineTask.')
    for (const [index, task] of tasks.entries()) {
      if (!isTask(task)) {
        throw new InvalidTaskError(
          `Entry ${index} of the registry was not made by defineTask of this package.`,
        )
      }
      if (this.#tasks.has(task.id)) throw new InvalidTaskError(`Two tasks have the id "${task.id}".`)
      this.#tasks.set(task.id, task)
    }
  }

  get(id: string): AnyTask {
    const task = this.#tasks.get(id)
    if (!task) throw new UnknownTaskError(id)
    return task
  }

  list(): AnyTask[] {
    return [...this.#tasks.values()]
  }

  /** The tasks that some ids, or prefixes like `orders/*`, name; all without. Each must name at least one. */
  select(patterns?: readonly string[]): AnyTask[] {
    if (!patterns) return this.list()
    const matches = (pattern: string) =>
      this.list().filter(({ id }) =>
        pattern.endsWith('*') ? id.startsWith(pattern.slice(0, -1)) : id === pattern,
      )
    const unmatched = patterns.find((pattern) => matches(pattern).length === 0)
    if (unmatched !== undefined) throw new InvalidTaskError(`No task matches "${unmatched}".`)
    return [...new Set(patterns.flatMap(matches))]
  }
}

/**
 * Imports the module of a registry (its default export is the list) and checks that the folder and the list agree:
 * every task file is registered, and its path is its id.
 *
 * @throws ConfigError when there is no such file; InvalidTaskError.
 */
export async function loadRegistry(modulePath: string): Promise<TaskRegistry> {
  // Asked first: a module that is missing inside it is another matter, and keeps its stack.
  if (!statSync(modulePath, { throwIfNoEntry: false })?.isFile()) {
    throw new ConfigError(
      `There is no module ${modulePath}. Set JOBS_TASKS, or tasksModule, to the file whose default export is the list of tasks.`,
    )
  }
  const module = (await import(pathToFileURL(modulePath).href)) as { default?: readonly AnyTask[] }
  if (!Array.isArray(module.default)) {
    throw new InvalidTaskError(`${modulePath} has no default export that is a list of tasks.`)
  }
  const registry = new TaskRegistry(module.default)
  const registered = new Set(registry.list())
  for (const file of await taskFiles(dirname(modulePath))) {
    for (const task of await tasksIn(join(dirname(modulePath), file))) {
      const expected = file.slice(0, file.lastIndexOf('.')).split(sep).join('/')
      if (task.id !== expected) {
        throw new InvalidTaskError(`The task "${task.id}" lies in ${file}; its id must be "${expected}".`)
      }
      if (!registered.has(task))
        throw new InvalidTaskError(`${file} is not in the registry: add it to ${modulePath}.`)
    }
  }
  return registry
}

/** Every module below `folder`, but for its own index, tests and type declarations. */
async function taskFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /\.(ts|js|mts|mjs)$/.test(entry.name))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((file) => !/^index\.|\.(test|spec)\.|\.d\.m?ts$|(^|[/\\])node_modules[/\\]/.test(file))
    .sort()
}

async function tasksIn(file: string): Promise<AnyTask[]> {
  const module = (await import(pathToFileURL(file).href)) as Record<string, unknown>
  return [...new Set(Object.values(module).filter(isTask))]
}
