/**
 * `cgk deploy:check`: what Trigger.dev would make of the tasks, before a deploy. Builds and indexes as Trigger.dev's own
 * CLI does, offline, and compares with the registry. Exit 1 when anything differs.
 */
import { Command, Option } from 'commander'
import type { BuildTarget } from '../engines/trigger/build.ts'
import type { Difference } from '../engines/trigger/compare.ts'
import type { AnyTask } from '../task/define.ts'
import { plural, printJson } from './print.ts'

/** Of one target. */
interface Check {
  target: BuildTarget
  tasks: number
  /** Why it could not be built or indexed. */
  problems: string[]
  differences: Difference[]
}

export const deployCheck = new Command('deploy:check')
  .description('build the tasks as Trigger.dev does, offline, and compare with the registry')
  .addOption(new Option('--target <target>', 'only this one').choices(['dev', 'deploy']))
  .option('--json', 'print JSON')
  .action(async ({ target, json }: { target?: BuildTarget; json?: true }) => {
    const { buildTargets } = await import('../engines/trigger/build.ts')
    const tasks = await registeredTasks()
    const checks: Check[] = []
    for (const one of target ? [target] : buildTargets) checks.push(await check(one, tasks))
    if (json) printJson(checks)
    else for (const one of checks) print(one)
    if (checks.some(({ problems, differences }) => problems.length + differences.length > 0)) {
      process.exitCode = 1
    }
  })

/** An empty registry and an empty index are alike, and no deploy. */
const noTasks =
  'no task is found, and Trigger.dev refuses a project without: pass the registry to toTriggerTasks in a file of the `dirs` of trigger.config.ts'

/** A platform that is not started connects to nothing. */
async function registeredTasks(): Promise<AnyTask[]> {
  const { tasks } = await import('../index.ts')
  return await tasks.list()
}

async function check(target: BuildTarget, tasks: readonly AnyTask[]): Promise<Check> {
  const [{ buildForTrigger, readBuildProblems }, { findDifferences }, { tickTaskId }] = await Promise.all([
    import('../engines/trigger/build.ts'),
    import('../engines/trigger/compare.ts'),
    import('../engines/trigger/tick.ts'),
  ])
  try {
    const built = await quietly(() => buildForTrigger(process.cwd(), target))
    await built.remove()
    const count = built.index.tasks.filter(({ id }) => id !== tickTaskId).length
    return {
      target,
      tasks: count,
      problems: count === 0 ? [noTasks] : [],
      differences: findDifferences(tasks, built.index),
    }
  } catch (error) {
    const problems = readBuildProblems(error)
    if (!problems) throw error
    return { target, tasks: 0, problems, differences: [] }
  }
}

/** Trigger.dev's CLI writes to stdout as it goes; ours is for the result. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { log, info } = console
  console.log = console.info = console.error
  try {
    return await work()
  } finally {
    Object.assign(console, { log, info })
  }
}

function print({ target, tasks, problems, differences }: Check): void {
  for (const problem of problems) console.log(`${target}: ${problem}`)
  for (const { taskId, problem } of differences) console.log(`${target}: ${taskId}: ${problem}`)
  if (problems.length + differences.length > 0) return
  console.log(`${target}: ${plural(tasks, 'task')}, as in the registry`)
}
