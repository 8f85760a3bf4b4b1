import type { Engine } from '../engines/engine.ts'
import type { TestClock } from './clock.ts'
import type { EngineControl } from './engine-control.ts'

export function inlineControl(engine: Engine, clock: TestClock): EngineControl {
  return {
    async advance(ms) {
      clock.advance(ms)
    },

    async unfinished() {
      const counts = new Map<string, number>()
      let after: string | null = null
      do {
        const page = await engine.list({
          states: ['queued', 'running', 'retrying'],
          limit: 1000,
          ...(after !== null && { after }),
        })
        for (const { taskId, state, runAt } of page.runs) {
          if (state === 'running' || runAt <= clock.now()) counts.set(taskId, (counts.get(taskId) ?? 0) + 1)
        }
        after = page.next
      } while (after !== null)
      return counts
    },
  }
}
