/** `cgk run:list`: a page of runs, newest first. */
import { Command } from 'commander'
import type { RunFilter } from '../engines/engine.ts'
import type { Run, RunState } from '../task/run.ts'
import { list, wholeNumber } from './arguments.ts'
import { printJson, timeText } from './print.ts'
import { took } from './run-text.ts'
import { withQueue } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  tenant?: string
  task?: string
  state?: RunState[]
  tag?: string
  limit?: number
  after?: string
  json?: true
}

export const runList = new Command('run:list')
  .description('list runs, newest first')
  .option('--tenant <slug>', 'only of this tenant')
  .option('--task <id>', 'only of this task')
  .option('--state <list>', 'only in these states: failed,retrying', list)
  .option('--tag <text>', 'only with this tag')
  .option('--limit <n>', 'runs on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <cursor>', 'the next page: what the page before ended with')
  .option('--json', 'print JSON: { runs, next }')
  .action(async (options: Options) => {
    await withQueue(async ({ runs }) => {
      const page = await runs.list(filter(options))
      if (options.json) return printJson(page)
      console.log(page.runs.length === 0 ? 'No runs.' : formatTable(page.runs, columns))
      if (page.next !== null) console.log(`\nMore: add --after '${page.next}'`)
    })
  })

function filter({
  tenant: tenantId,
  task: taskId,
  state: states,
  tag,
  limit,
  after,
}: Options): Partial<RunFilter> {
  const given = { tenantId, taskId, states, tag, limit, after }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

const columns: Column<Run>[] = [
  { title: 'run', value: ({ id }) => id },
  { title: 'task', value: ({ taskId }) => taskId, mayCut: true },
  { title: 'tenant', value: ({ tenantId }) => tenantId, mayCut: true },
  { title: 'state', value: ({ state }) => state },
  {
    title: 'attempt',
    value: ({ attempt, maxAttempts }) => `${attempt}/${maxAttempts || '?'}`,
    align: 'right',
  },
  { title: 'created', value: ({ createdAt }) => timeText(createdAt) },
  { title: 'took', value: took, align: 'right' },
  { title: 'error', value: ({ error }) => error?.message ?? '', mayCut: true },
]
