/** `cgk failure:list`: failed attempts that are alike, as groups, those seen last first. */
import { Command } from 'commander'
import type { FailureState } from '../runs/failure-marks.ts'
import type { FailureFilter, FailureGroup } from '../runs/failures.ts'
import { list, wholeNumber } from './arguments.ts'
import { given } from './given.ts'
import { printJson, timeText } from './print.ts'
import { withQueue } from './session.ts'
import { sparkline } from './sparkline.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  tenant?: string
  task?: string
  state?: FailureState[]
  limit?: number
  after?: string
  json?: true
}

export const failureList = new Command('failure:list')
  .description('failed attempts that are alike: how often, for how many tenants, since when')
  .option('--tenant <slug>', 'only of this tenant, counted and marked for it alone')
  .option('--task <id>', 'only of this task')
  .option('--state <list>', 'open, resolved, ignored; open by default', list)
  .option('--limit <n>', 'groups on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <cursor>', 'the next page: what the page before ended with')
  .option('--json', 'print JSON: { groups, next }')
  .action(
    async ({ tenant: tenantId, task: taskId, state: states = ['open'], limit, after, json }: Options) => {
      const filter: FailureFilter = given({ tenantId, taskId, states, limit, after })
      await withQueue(async ({ failures }) => {
        const page = await failures.list(filter)
        if (json) return printJson(page)
        console.log(page.groups.length === 0 ? 'No failures.' : formatTable(page.groups, columns))
        if (page.next !== null) console.log(`\nMore: add --after '${page.next}'`)
      })
    },
  )

const columns: Column<FailureGroup>[] = [
  { title: 'failure', value: ({ fingerprint }) => fingerprint },
  { title: 'state', value: ({ state }) => state },
  { title: 'times', value: ({ failures }) => String(failures), align: 'right' },
  { title: 'tenants', value: ({ tenants }) => String(tenants), align: 'right' },
  { title: 'last 24 hours', value: ({ hours }) => sparkline(hours), mayGo: true },
  { title: 'first seen', value: ({ firstSeenAt }) => timeText(firstSeenAt), mayGo: true },
  { title: 'last seen', value: ({ lastSeenAt }) => timeText(lastSeenAt), mayGo: true },
  { title: 'task', value: ({ taskId }) => taskId, mayCut: true },
  {
    title: 'error',
    value: ({ errorName, errorCode, message }) =>
      `${errorName}${errorCode ? ` (${errorCode})` : ''}: ${message}`,
    mayCut: true,
  },
]
