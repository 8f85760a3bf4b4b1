/** `cgk failure:resolve`, `failure:ignore` and `failure:reopen`: what has been done about a group of failures. */
import { Command, InvalidArgumentError } from 'commander'
import { parseDuration } from '../task/duration.ts'
import { timeText } from './print.ts'
import { withQueue } from './session.ts'

export const failureResolve = new Command('failure:resolve')
  .description('a group of failures is dealt with; it is open again when it comes back')
  .argument('<failure>', 'as failure:list names it')
  .action(async (fingerprint: string) => {
    await withQueue(async ({ failures }) => {
      await failures.resolve(fingerprint)
      console.log(`Resolved ${fingerprint}.`)
    })
  })

export const failureIgnore = new Command('failure:ignore')
  .description('a group of failures does not count as open for a time')
  .argument('<failure>', 'as failure:list names it')
  .requiredOption('--for <duration>', 'like 12h or 7d', duration)
  .action(async (fingerprint: string, { for: ms }: { for: number }) => {
    await withQueue(async ({ failures }) => {
      const until = new Date(Date.now() + ms)
      await failures.ignore(fingerprint, until)
      console.log(`Ignored ${fingerprint} until ${timeText(until)}.`)
    })
  })

export const failureReopen = new Command('failure:reopen')
  .description('a group of failures is open again')
  .argument('<failure>', 'as failure:list names it')
  .action(async (fingerprint: string) => {
    await withQueue(async ({ failures }) => {
      await failures.reopen(fingerprint)
      console.log(`Reopened ${fingerprint}.`)
    })
  })

const longestMs = 3650 * 86_400_000

function duration(text: string): number {
  const ms = parseDuration(text, 60_000, longestMs)
  if (ms === null) throw new InvalidArgumentError("It must be a duration like '12h', of at least a minute.")
  return ms
}
