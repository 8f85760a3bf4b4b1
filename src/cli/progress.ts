/** A bar below the results at a terminal, and the results alone elsewhere. */
import { MultiBar, Presets, SingleBar } from 'cli-progress'

export interface Progress {
  /** One result, and one step further. */
  step(line: string): void
  stop(): void
}

export function startProgress(total: number, what: string): Progress {
  if (!process.stdout.isTTY || total === 0) return { step: (line) => console.log(line), stop() {} }
  const bars = new MultiBar(
    {
      format: `${what} [{bar}] {value}/{total}  {eta_formatted} left`,
      clearOnComplete: true,
      stream: process.stdout,
    },
    Presets.rect,
  )
  const bar = bars.create(total, 0)
  return {
    step(line) {
      bars.log(`${line}\n`)
      bar.increment()
    },
    stop() {
      if (!bars.isActive) return
      // `log` keeps a line for the next frame, and `stop` draws none.
      bars.update()
      bars.stop()
    },
  }
}

export interface Bar {
  update(value: number): void
  stop(): void
}

/** A bar alone, for what has no results on the way. On stderr, for stdout is there for what it comes to. */
export function startBar(total: number, what: string): Bar {
  if (!process.stderr.isTTY) return { update() {}, stop() {} }
  const format = `${what} [{bar}] {value}/{total}  {eta_formatted} left`
  const bar = new SingleBar({ format, clearOnComplete: true, stream: process.stderr }, Presets.rect)
  bar.start(total, 0)
  return { update: (value) => bar.update(value), stop: () => bar.stop() }
}
