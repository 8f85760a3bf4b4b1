/** The real `cgk`, as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const bin = fileURLToPath(new URL('../../src/cli/cgk.ts', import.meta.url))

/** The tasks of `test/cli/tasks`, for what the repo's own tasks do not do: wait, and fail. */
export const fixtureTasks = fileURLToPath(new URL('tasks/index.ts', import.meta.url))

const patienceMs = 20_000

export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

export interface Running {
  child: ChildProcess
  ended: Promise<Ended>
  /** Answers when stdout or stderr contains the text; fails when the process ends or is silent for long. */
  says(text: string): Promise<void>
}

export type Environment = Record<string, string>

const living = new Set<ChildProcess>()
afterAll(killLeftovers)

/** Only a failed test leaves any. */
export function killLeftovers(): void {
  for (const child of living) child.kill('SIGKILL')
}

export function startCgk(
  args: readonly string[],
  env: Environment,
  stdin: 'ignore' | 'pipe' = 'ignore',
): Running {
  const child = spawn(process.execPath, [bin, ...args], {
    cwd: root,
    env: { ...withoutOurs(process.env), ...env },
    stdio: [stdin, 'pipe', 'pipe'],
  })
  living.add(child)
  const said = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]!.setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text
    })
  }
  const ended = once(child, 'close').then(([code]) => {
    living.delete(child)
    return { code: code as number | null, ...said }
  })
  const says = async (text: string) => {
    const limit = sleep(patienceMs, 'limit', { ref: false })
    while (!(said.stdout + said.stderr).includes(text)) {
      const next = await Promise.race([
        once(child.stdout!, 'data'),
        once(child.stderr!, 'data'),
        ended,
        limit,
      ])
      if (next !== 'limit' && living.has(child)) continue
      if ((said.stdout + said.stderr).includes(text)) return
      throw new Error(`cgk ${args[0]} never said "${text}", but:\n${said.stdout}${said.stderr}`)
    }
  }
  return { child, ended, says }
}

export async function cgk(args: readonly string[], env: Environment): Promise<Ended> {
  return await startCgk(args, env).ended
}

/** What was printed with --json; anything else on stdout makes this throw. */
export async function cgkJson<T>(args: readonly string[], env: Environment): Promise<T> {
  const { stdout, stderr, code } = await cgk([...args, '--json'], env)
  if (stdout === '') throw new Error(`cgk ${args.join(' ')} ended with ${code}: ${stderr}`)
  return JSON.parse(stdout) as T
}

/** The settings of the machine that runs the tests are not those of the test. */
function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^(DATABASE_|JOBS_|CGK_|NO_COLOR|FORCE_COLOR)/.test(name)),
  )
}
