/** A bar below the results at a terminal, and the results alone elsewhere. */
import { MultiBar, Presets } from 'cli-progress'

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
