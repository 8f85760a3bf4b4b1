/** `cgk run:list`: a page of runs, newest first. */
import { Command } from 'commander'
import type { RunFilter } from '../engines/engine.ts'
import { maskRun } from '../runs/mask.ts'
import { type Run, type RunState, type TriggerKind, triggerKinds } from '../task/run.ts'
import { schemaOf } from '../task/schema-of.ts'
import { list, timeAgo, wholeNumber } from './arguments.ts'
import { given } from './given.ts'
import { printJson, timeText } from './print.ts'
import { took } from './run-text.ts'
import { withQueue } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  tenant?: string
  task?: string
  state?: RunState[]
  tag?: string
  from?: Date
  to?: Date
  failure?: string
  text?: string
  id?: string
  triggeredBy?: string
  replayOf?: string
  limit?: number
  after?: string
  reveal?: true
  json?: true
}

export const runList = new Command('run:list')
  .description('list runs, newest first')
  .option('--tenant <slug>', 'only of this tenant')
  .option('--task <id>', 'only of this task')
  .option('--state <list>', 'only in these states: failed,retrying', list)
  .option('--tag <text>', 'only with this tag')
  .option('--from <time>', 'only created since: 2026-11-23T13:00:00Z, or 2h for the last two hours', timeAgo)
  .option('--to <time>', 'only created before', timeAgo)
  .option('--failure <failure>', 'only with this failure, as failure:list names it')
  .option('--text <text>', 'only with this text in the error')
  .option('--id <prefix>', 'only with an id that begins so; 4 digits or more')
  .option(
    '--triggered-by <kind[:ref]>',
    `only triggered by ${triggerKinds.join(', ')}; or by that one of them`,
  )
  .option('--replay-of <id>', 'only replays of this run')
  .option('--limit <n>', 'runs on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <cursor>', 'the next page: what the page before ended with')
  .option('--reveal', 'with --json: print payloads and outputs whole')
  .option('--json', 'print JSON: { runs, next }')
  .action(async (options: Options) => {
    await withQueue(async ({ runs }, platform) => {
      const page = await runs.list(filter(options))
      if (options.json) return printJson(options.reveal ? page : { ...page, runs: await maskAll(page.runs) })
      console.log(page.runs.length === 0 ? 'No runs.' : formatTable(page.runs, columns))
      if (page.next !== null) console.log(`\nMore: add --after '${page.next}'`)

      async function maskAll(whole: Run[]): Promise<Run[]> {
        const registry = await platform.registry()
        return whole.map((run) => maskRun(run, schemaOf(registry, run.taskId)))
      }
    })
  })

function filter(options: Options): Partial<RunFilter> {
  const { tenant, task, state, failure, text, id, triggeredBy, ...same } = options
  const { tag, from, to, replayOf, limit, after } = same
  return given({
    ...{ tenantId: tenant, taskId: task, states: state, tag, from, to, limit, after, replayOf },
    ...{ fingerprint: failure, errorText: text, idPrefix: id },
    triggeredBy: triggeredBy === undefined ? undefined : readTriggeredBy(triggeredBy),
  })
}

/** The kind is checked with the rest of the filter. */
function readTriggeredBy(text: string): NonNullable<RunFilter['triggeredBy']> {
  const [, kind = '', ref] = /^([^:]*)(?::(.*))?$/s.exec(text) ?? []
  return { kind: kind as TriggerKind, ...(ref !== undefined && { ref }) }
}

const columns: Column<Run>[] = [
  { title: 'run', value: ({ id }) => id },
  { title: 'task', value: ({ taskId }) => taskId, mayCut: true },
  { title: 'tenant', value: ({ tenantId }) => tenantId, mayCut: true },
  { title: 'state', value: ({ state }) => state },
  { title: 'attempt', value: ({ attempt, maxAttempts }) => `${attempt}/${maxAttempts}`, align: 'right' },
  { title: 'created', value: ({ createdAt }) => timeText(createdAt) },
  { title: 'took', value: took, align: 'right' },
  { title: 'error', value: ({ error }) => error?.message ?? '', mayCut: true },
]
