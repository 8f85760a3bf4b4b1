/** `cgk run:list`: a page of runs, newest first. */
import { Command } from 'commander'
import type { Run } from '../task/run.ts'
import { wholeNumber } from './arguments.ts'
import { given } from './given.ts'
import { maskRuns } from './mask-runs.ts'
import { printJson, timeText } from './print.ts'
import { addRunFilter, type RunFilterOptions, toRunFilter } from './run-filter.ts'
import { took } from './run-text.ts'
import { withQueue } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options extends RunFilterOptions {
  limit?: number
  after?: string
  reveal?: true
  json?: true
}

export const runList = addRunFilter(new Command('run:list'))
  .description('list runs, newest first')
  .option('--limit <n>', 'runs on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <cursor>', 'the next page: what the page before ended with')
  .option('--reveal', 'with --json: print payloads and outputs whole')
  .option('--json', 'print JSON: { runs, next }')
  .action(async ({ limit, after, reveal, json, ...filter }: Options) => {
    await withQueue(async ({ runs }, platform) => {
      const page = await runs.list({ ...toRunFilter(filter), ...given({ limit, after }) })
      if (json) return printJson(reveal ? page : { ...page, runs: await maskRuns(platform, page.runs) })
      console.log(page.runs.length === 0 ? 'No runs.' : formatTable(page.runs, columns))
      if (page.next !== null) console.log(`\nMore: add --after '${page.next}'`)
    })
  })

const columns: Column<Run>[] = [
  { title: 'run', value: ({ id }) => id },
  { title: 'task', value: ({ taskId }) => taskId, mayCut: true },
  { title: 'tenant', value: ({ tenantId }) => tenantId, mayCut: true },
  { title: 'state', value: ({ state }) => state },
  { title: 'created', value: ({ createdAt }) => timeText(createdAt), mayGo: true },
  {
    title: 'attempt',
    value: ({ attempt, maxAttempts }) => `${attempt}/${maxAttempts || '?'}`,
    align: 'right',
    mayGo: true,
  },
  { title: 'took', value: took, align: 'right', mayGo: true },
  { title: 'error', value: ({ error }) => error?.message ?? '', mayCut: true },
]
