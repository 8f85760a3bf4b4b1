/** A process of test/fixtures/chaos: what it says, how it ends, and that it ends. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Line {
  event: string
  [key: string]: unknown
}

export class Child {
  readonly process: ChildProcessWithoutNullStreams
  /** Exit code, or null when a signal ended it. */
  readonly ended: Promise<number | null>
  readonly said: Line[] = []
  /** What it logged. */
  log = ''
  #hear: () => void = () => {}

  constructor(script: string, options: object) {
    const path = fileURLToPath(new URL(`../fixtures/chaos/${script}`, import.meta.url))
    this.process = spawn(process.execPath, [path, JSON.stringify(options)])
    this.ended = once(this.process, 'close').then(([code]) => code as number | null)
    createInterface(this.process.stdout).on('line', (line) => {
      this.said.push(JSON.parse(line) as Line)
      this.#hear()
    })
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.log += text
    })
    void this.ended.then(() => this.#hear())
  }

  get pid(): number {
    return this.process.pid!
  }

  get living(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null
  }

  heard(event: string): Line[] {
    return this.said.filter((line) => line.event === event)
  }

  /** Answers once the event was said `times` times; fails when the process ends without, or after 30 s. */
  async says(event: string, times = 1): Promise<Line[]> {
    const late = AbortSignal.timeout(30_000)
    while (this.heard(event).length < times) {
      if (!this.living || late.aborted) {
        const how = this.living ? 'goes on' : 'ended'
        throw new Error(
          `${this.pid} ${how} and said ${event} ${this.heard(event).length} times:\n${this.log}`,
        )
      }
      await new Promise<void>((resolve) => {
        this.#hear = resolve
        late.addEventListener('abort', () => resolve(), { once: true })
      })
    }
    return this.heard(event)
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name)
  }

  /** -9, and gone when this answers. A stopped process dies of it as well. */
  async kill(): Promise<void> {
    if (this.living) this.process.kill('SIGKILL')
    await this.ended
  }
}
