/** Whether what queues the runs is there, has a queue for every task, and is worked on. */
import type { Check } from './check.ts'
import { ok } from './finding.ts'

/** Only the chosen engine is loaded. */
export const engine: Check = {
  name: 'engine',
  async look(subject) {
    if (subject.config.engine === 'inline') return [ok('The inline engine needs nothing.')]
    if (subject.config.engine === 'trigger.dev')
      return await (await import('./engine-trigger.ts')).look(subject)
    return await (await import('./engine-pg-boss.ts')).look(subject)
  },
}
