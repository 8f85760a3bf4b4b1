/** `cgk replay:list`: replays and cancels of many runs, newest first. */
import { Command } from 'commander'
import type { BulkAction } from '../runs/bulk/action.ts'
import { wholeNumber } from './arguments.ts'
import { given } from './given.ts'
import { printJson, timeText } from './print.ts'
import { withQueue } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  limit?: number
  after?: string
  json?: true
}

export const replayList = new Command('replay:list')
  .description('replays and cancels of many runs, newest first: how far they are, who asked, and why')
  .option('--limit <n>', 'how many on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <cursor>', 'the next page: what the page before ended with')
  .option('--json', 'print JSON: { actions, next }')
  .action(async ({ limit, after, json }: Options) => {
    await withQueue(async ({ bulkActions }) => {
      const page = await bulkActions.list(given({ limit, after }))
      if (json) return printJson(page)
      console.log(page.actions.length === 0 ? 'No replays.' : formatTable(page.actions, columns))
      if (page.next !== null) console.log(`\nMore: add --after '${page.next}'`)
    })
  })

const columns: Column<BulkAction>[] = [
  { title: 'id', value: ({ id }) => id },
  { title: 'kind', value: ({ kind }) => kind },
  { title: 'state', value: ({ state }) => state },
  { title: 'done', value: ({ counts, total }) => `${counts.done}/${total}`, align: 'right' },
  { title: 'refused', value: ({ counts }) => String(counts.refused), align: 'right', mayGo: true },
  { title: 'tenants', value: ({ tenantIds }) => tenantIds.join(', '), mayCut: true },
  { title: 'previewed', value: ({ createdAt }) => timeText(createdAt), mayGo: true },
  {
    title: 'by',
    value: ({ confirmedBy, createdBy }) => (confirmedBy ?? createdBy).name,
    mayCut: true,
    mayGo: true,
  },
  { title: 'reason', value: ({ reason }) => reason ?? '', mayCut: true },
]
