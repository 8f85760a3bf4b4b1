/** `cgk failure:resolve`, `failure:ignore` and `failure:reopen`: what has been done about a group of failures. */
import { Command, InvalidArgumentError } from 'commander'
import { longestIgnoreMs } from '../runs/failure-marks.ts'
import { parseDuration } from '../task/duration.ts'
import { given } from './given.ts'
import { timeText } from './print.ts'
import { record } from './record.ts'
import { withQueue } from './session.ts'

interface Options {
  tenant?: string
}

const tenantOption = ['--tenant <slug>', 'for this tenant alone; otherwise for all of them'] as const

export const failureResolve = new Command('failure:resolve')
  .description('a group of failures is dealt with; it is open again when it comes back')
  .argument('<failure>', 'as failure:list names it')
  .option(...tenantOption)
  .action(async (fingerprint: string, options: Options) => {
    await withQueue(async (jobs) => {
      await jobs.failures.resolve(fingerprint, ofTenant(options))
      await record(jobs, { action: 'failure.resolve', ...marked(fingerprint, options) })
      console.log(`Resolved ${fingerprint}${forWhom(options)}.`)
    })
  })

export const failureIgnore = new Command('failure:ignore')
  .description('a group of failures does not count as open for a time, but for tenants it has not hit so far')
  .argument('<failure>', 'as failure:list names it')
  .requiredOption('--for <duration>', 'like 12h or 7d', duration)
  .option(...tenantOption)
  .action(async (fingerprint: string, { for: ms, ...options }: Options & { for: number }) => {
    await withQueue(async (jobs) => {
      const until = new Date(Date.now() + ms)
      await jobs.failures.ignore(fingerprint, until, ofTenant(options))
      const details = { until: until.toISOString() }
      await record(jobs, { action: 'failure.ignore', ...marked(fingerprint, options), details })
      console.log(`Ignored ${fingerprint}${forWhom(options)} until ${timeText(until)}.`)
    })
  })

export const failureReopen = new Command('failure:reopen')
  .description('a group of failures is open again')
  .argument('<failure>', 'as failure:list names it')
  .option(...tenantOption)
  .action(async (fingerprint: string, options: Options) => {
    await withQueue(async (jobs) => {
      await jobs.failures.reopen(fingerprint, ofTenant(options))
      await record(jobs, { action: 'failure.reopen', ...marked(fingerprint, options) })
      console.log(`Reopened ${fingerprint}${forWhom(options)}.`)
    })
  })

function ofTenant({ tenant: tenantId }: Options): { tenantId?: string } {
  return given({ tenantId })
}

function marked(subject: string, { tenant }: Options): { tenantId: string | null; subject: string } {
  return { tenantId: tenant ?? null, subject }
}

function forWhom({ tenant }: Options): string {
  return tenant === undefined ? '' : ` for ${tenant}`
}

function duration(text: string): number {
  const ms = parseDuration(text, 60_000, longestIgnoreMs)
  if (ms !== null) return ms
  throw new InvalidArgumentError(
    "It must be a duration like '12h', of at least a minute and at most 366 days.",
  )
}
