/** Whether this machine and the database agree on what time it is. */
import type { Check } from './check.ts'
import { ok, problem, warning } from './finding.ts'

/** Expiries and delays are written by one clock and read by the other; below this nobody would notice. */
const noticedMs = 500
/** Signatures of webhooks and of tokens are refused, holds end too soon. */
const harmfulMs = 10_000

export const clock: Check = {
  name: 'clock',
  async look({ database, now }) {
    // The first statement of a connection takes longer, and how long it takes blurs the answer.
    await database.query('SELECT 1')
    const asked = now()
    const { rows } = await database.query<{ ms: number }>(
      'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
    )
    const halfWay = (asked + now()) / 2
    const blurMs = Math.ceil((now() - asked) / 2)
    const aheadMs = Math.round(halfWay - rows[0]!.ms)
    const apart = Math.abs(aheadMs)
    if (apart <= noticedMs + blurMs) {
      return [ok(`This process and the database agree on the time, within ${Math.max(apart, blurMs)} ms.`)]
    }
    const found = `The clock of this process is ${apart} ms ${aheadMs > 0 ? 'ahead of' : 'behind'} the database's.`
    const todo = 'Let both machines keep their time by NTP.'
    return [apart > harmfulMs ? problem(found, todo) : warning(found, todo)]
  },
}
