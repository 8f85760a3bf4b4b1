/**
 * Brings the server back when it ends under a living user (`kill -9`, the OOM killer): where it was, so that the pools of
 * every process find it again. Of several processes one starts it, under the lock, and the others find it living.
 *
 * It has no logger; what it did goes to stderr as a warning of the process, once per outage.
 */
import { existsSync } from 'node:fs'
import type { ClusterPlan } from './cluster.ts'
import { hasEnded, startOf } from './living-process.ts'
import { withLock } from './lock.ts'
import type { Postmaster } from './pid-file.ts'
import { runPostmaster } from './postmaster.ts'

const LOOK_MS = 1_000
/** After a start that failed: the next one ends as it did until somebody mends the cause. */
const RETRY_MS = 5_000

export class Watch {
  readonly #plan: ClusterPlan
  readonly #settings: Record<string, string>
  /** The file of the user we watch for; gone with the whole folder when somebody deleted that. */
  readonly #user: string
  readonly #port: number
  #pid: number
  #start: string | undefined
  #timer: NodeJS.Timeout | undefined
  #restarting: Promise<void> | undefined
  #hasFailed = false
  #stopped = false

  constructor(plan: ClusterPlan, settings: Record<string, string>, user: string, { pid, port }: Postmaster) {
    this.#plan = plan
    this.#settings = settings
    this.#user = user
    this.#port = port
    this.#pid = pid
    this.#start = startOf(pid)
    this.#lookIn(LOOK_MS)
  }

  /** Answers when nothing will be started any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#restarting
  }

  #lookIn(ms: number): void {
    if (!this.#stopped) this.#timer = setTimeout(() => this.#look(), ms).unref()
  }

  #look(): void {
    if (!hasEnded(this.#pid, this.#start)) this.#lookIn(LOOK_MS)
    // Not in a folder that was deleted: taking the lock would make it anew.
    else if (existsSync(this.#user)) this.#restarting = this.#restart()
  }

  async #restart(): Promise<void> {
    try {
      await withLock(this.#plan.folder.lock, () => this.#restartUnderLock())
      this.#hasFailed = false
      this.#lookIn(LOOK_MS)
    } catch (error) {
      if (!this.#hasFailed) {
        warn(
          `The embedded Postgres ended and could not be started again; trying every ${RETRY_MS / 1000} s. ${(error as Error).message}`,
        )
      }
      this.#hasFailed = true
      this.#lookIn(RETRY_MS)
    }
  }

  async #restartUnderLock(): Promise<void> {
    if (this.#stopped) return
    const { postmaster, joined } = await runPostmaster(this.#plan, this.#settings, this.#port)
    this.#pid = postmaster.pid
    this.#start = startOf(postmaster.pid)
    const { log, path } = this.#plan.folder
    if (!joined) warn(`The embedded Postgres in ${path} ended and was started again; see ${log}.old.`)
    if (postmaster.port === this.#port) return
    warn(
      `The embedded Postgres in ${path} came back on port ${postmaster.port}, because another program has its port ${this.#port}. This process cannot follow; start it again.`,
    )
  }
}

function warn(message: string): void {
  process.emitWarning(message, 'EmbeddedPostgresWarning')
}
