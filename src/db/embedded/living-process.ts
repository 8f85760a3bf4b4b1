/**
 * Which process wrote this file, and does it still live? A pid alone is not enough, for pids are used again; a pid with
 * the moment its process started is. Owned by the lock, the list of users and the sweep of temporary clusters.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** `<pid>.<moment of start>`: safe in a file name, never the same for two processes. */
export type ProcessMark = string

export function markOfThisProcess(): ProcessMark {
  return `${process.pid}.${startOf(process.pid)}`
}

export function isLiving(mark: ProcessMark): boolean {
  const [pid, start] = mark.split('.')
  return start !== undefined && startOf(Number(pid)) === start
}

/** When the process started, as an opaque text; undefined when it is dead or a zombie. */
export function startOf(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  try {
    return process.platform === 'linux' ? startFromProc(pid) : startFromPs(pid)
  } catch {
    return undefined
  }
}

/**
 * Whether the process that started then has ended. Cheap enough for every second: where there is no /proc it asks the
 * kernel about the pid alone, and starts no `ps`.
 */
export function hasEnded(pid: number, start: string | undefined): boolean {
  if (process.platform === 'linux') return start === undefined || startOf(pid) !== start
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH'
  }
}

/** The command line; empty when the process is dead. */
export function commandOf(pid: number): string {
  try {
    if (process.platform !== 'linux') return ps(pid, 'command=')
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

// proc(5): the name in parentheses may hold anything, so count from the last ")": field 3 is the state, field 22 the start.
function startFromProc(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
}

function startFromPs(pid: number): string | undefined {
  const start = Date.parse(ps(pid, 'lstart='))
  return Number.isNaN(start) ? undefined : String(start)
}

function ps(pid: number, column: string): string {
  return execFileSync('ps', ['-o', column, '-p', String(pid)], {
    encoding: 'utf8',
    env: { PATH: '/bin:/usr/bin', LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}
