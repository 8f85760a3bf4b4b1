/** `cgk replay:show`: a replay or a cancel of many runs: how far it is, and what has come of each run. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import type { Platform } from '../platform.ts'
import type { ActionRun, BulkAction } from '../runs/bulk/action.ts'
import type { Results } from '../runs/bulk/results.ts'
import { isFinal, type RunState } from '../task/run.ts'
import { wholeNumber } from './arguments.ts'
import { actionText, countsText, resultsText } from './bulk-text.ts'
import { given } from './given.ts'
import { printJson } from './print.ts'
import { startBar } from './progress.ts'
import { type Jobs, withQueue } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  follow?: true
  limit: number
  after?: number
  json?: true
}

export const replayShow = new Command('replay:show')
  .description('show a replay or a cancel of many runs: how far it is, and what has come of each run')
  .argument('<id>', 'as replay:list names it')
  .option('--follow', 'go on until it and its new runs have ended; exit 1 if not all completed')
  .option('--limit <n>', 'runs on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <n>', 'the next page: what the page before ended with', wholeNumber)
  .option('--json', 'print JSON: the action, with results, runs and next')
  .action(async (id: string, { follow, limit, after, json }: Options) => {
    await withQueue(async (jobs, platform) => {
      const { action, results } = follow ? await untilEnded(id, jobs) : await readProgress(id, jobs)
      const runs = await readRuns(id, given({ limit, after }), jobs, platform)
      const next = runs.length === limit ? runs.at(-1)!.number : null
      if (follow && !isWell(action, results)) process.exitCode = 1
      if (json) return printJson({ ...action, results, runs, next })
      console.log(actionText(action, results))
      if (runs.length > 0) console.log(`\n${formatTable(runs, columns)}`)
      if (next !== null) console.log(`\nMore: add --after ${next}`)
    })
  })

interface ActionProgress {
  action: BulkAction
  /** By state, of the new runs of a replay. */
  results: Results
}

async function readProgress(id: string, { bulkActions }: Jobs): Promise<ActionProgress> {
  const action = await bulkActions.get(id)
  return { action, results: await bulkActions.results(id) }
}

const lookEveryMs = 1_000

async function untilEnded(id: string, jobs: Jobs): Promise<ActionProgress> {
  let progress = await readProgress(id, jobs)
  const bar = startBar(progress.action.total, `Following the ${progress.action.kind}`)
  try {
    for (let told = ''; !hasEnded(progress); progress = await readProgress(id, jobs)) {
      bar.update(countEnded(progress))
      told = tell(progress, told)
      await sleep(lookEveryMs)
    }
    return progress
  } finally {
    bar.stop()
  }
}

/** Where no bar can be drawn, a line whenever there is something new. */
function tell({ action, results }: ActionProgress, before: string): string {
  const text = [countsText(action), resultsText(results)].filter(Boolean).join('; new runs: ')
  if (text !== before && !process.stderr.isTTY) console.error(text)
  return text
}

/** A preview that nobody has confirmed is nothing to wait for. */
function hasEnded({ action, results }: ActionProgress): boolean {
  return action.state !== 'running' && countOpen(results) === 0
}

function countOpen(results: Results): number {
  const open = Object.entries(results).filter(([state]) => !isFinal(state as RunState))
  return open.reduce((sum, [, count]) => sum + count, 0)
}

function countEnded({ action: { total, counts }, results }: ActionProgress): number {
  return total - counts.waiting - countOpen(results)
}

/** New runs that are too old to be there any more are not held against it. */
function isWell({ state, counts }: BulkAction, { completed, ...others }: Results): boolean {
  const isWhole = state === 'completed' && counts.refused + counts.skipped === 0
  return isWhole && Object.values(others).every((count) => count === 0)
}

interface ShownRun extends ActionRun {
  /** Of the new run; null where there is none (any more). */
  newRunState: RunState | null
}

async function readRuns(
  id: string,
  page: { limit?: number; after?: number },
  { bulkActions }: Jobs,
  platform: Platform,
): Promise<ShownRun[]> {
  const runs = await bulkActions.runs(id, page)
  const { engine } = await platform.ready()
  const newRunIds = runs.flatMap(({ newRunId, state }) => (newRunId && state === 'done' ? [newRunId] : []))
  const states = new Map(
    (await engine.getMany(newRunIds)).map(({ id: newRunId, state }) => [newRunId, state]),
  )
  return runs.map((run) => ({ ...run, newRunState: states.get(run.newRunId ?? '') ?? null }))
}

const columns: Column<ShownRun>[] = [
  { title: 'run', value: ({ runId }) => runId },
  { title: 'task', value: ({ taskId }) => taskId, mayCut: true, mayGo: true },
  { title: 'tenant', value: ({ tenantId }) => tenantId, mayCut: true },
  { title: 'state', value: ({ state }) => state },
  {
    title: 'new run',
    value: ({ newRunId, state }) => (state === 'done' ? (newRunId ?? '') : ''),
    mayGo: true,
  },
  { title: 'result', value: ({ newRunState }) => newRunState ?? '' },
  { title: 'why not', value: ({ problem }) => problem ?? '', mayCut: true },
]
