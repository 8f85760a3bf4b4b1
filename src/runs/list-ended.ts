/**
 * A page of ended runs, newest first, as SQL. Each way into the table reads an index in the order of the page and no
 * further than the page is long; which way is decided here and not left to statistics. Indexes: 008_history.sql.
 */
import type { RunFilter } from '../engines/engine.ts'
import { type FinalState, finalStates } from '../task/run.ts'
import { type Bind, contentConditions, pageConditions, without } from './conditions.ts'
import { runColumns } from './run-row.ts'
import { selectStripes } from './stripes.ts'

/** Old statistics, or a costly guess, must not turn a page into a scan of the table. */
export const pageSettings = [
  ...['enable_seqscan', 'off'],
  ...['enable_hashjoin', 'off'],
  ...['enable_mergejoin', 'off'],
  // Where an index has the order, it is read in order, however little there seems to be to sort.
  ...['enable_sort', 'off'],
  ...['jit', 'off'],
]

/** Null: no ended run fits. */
export function endedPage(filter: RunFilter, bind: Bind): string | null {
  const states = endedStates(filter)
  if (states.length === 0) return null
  const limit = bind(filter.limit + 1)
  const ids = (filter.errorText === undefined ? newest : searched)(filter, states, limit, bind)
  return `SELECT ${runColumns} FROM (SELECT id FROM (${ids}) AS ids) AS page JOIN public.platform_runs USING (id)`
}

/** Only what has failed has an error. */
function endedStates({ states = finalStates, fingerprint, errorText }: RunFilter): FinalState[] {
  const possible = fingerprint === undefined && errorText === undefined ? finalStates : (['failed'] as const)
  return possible.filter((state) => states.includes(state))
}

/** For each row of `each`, an index has what it leads to in `table` in the order of the page. */
interface Way {
  each: string
  table: string
  createdAt: string
  id: string
  where: string[]
  /** What the way itself sees to. */
  covers: readonly (keyof RunFilter)[]
}

function newest(filter: RunFilter, states: readonly FinalState[], limit: string, bind: Bind): string {
  const { each, table, createdAt, id, where, covers } = wayOf(filter, states, bind)
  const conditions = [
    ...where,
    ...contentConditions(without(filter, covers), bind),
    ...pageConditions(filter, bind, { createdAt, id }),
  ]
  return `
    SELECT page.id, page.created_at FROM ${each} CROSS JOIN LATERAL (
      SELECT ${id} AS id, ${createdAt} AS created_at FROM ${table} WHERE ${conditions.join(' AND ')}
      ORDER BY ${createdAt} DESC, ${id} DESC LIMIT ${limit}
    ) AS page
    ORDER BY page.created_at DESC, page.id DESC LIMIT ${limit}`
}

const runs = { table: 'public.platform_runs AS run', createdAt: 'run.created_at', id: 'run.id' }

function wayOf(filter: RunFilter, states: readonly FinalState[], bind: Bind): Way {
  const { idPrefix, replayOf, triggeredBy, tag } = filter
  // A handful: those that begin so, and the replays of one run.
  if (idPrefix !== undefined || replayOf !== undefined) {
    return { ...runs, each: '(SELECT 1) AS once', where: [], covers: [] }
  }
  if (triggeredBy?.ref !== undefined) {
    return { ...runs, each: eachOf(states, bind), where: ['run.state = each.state'], covers: ['states'] }
  }
  if (tag !== undefined) return tagged(filter, tag, states, bind)
  return stripes(filter, states, bind)
}

function eachOf(states: readonly FinalState[], bind: Bind): string {
  return `unnest(${bind(states)}::text[]) AS each (state)`
}

function tagged(filter: RunFilter, tag: string, states: readonly FinalState[], bind: Bind): Way {
  const { tenantId, taskId } = filter
  const where = [`tagged.tag = ${bind(tag)}`, 'tagged.state = each.state']
  if (tenantId !== undefined) where.push(`tagged.tenant_id = ${bind(tenantId)}`)
  if (taskId !== undefined) where.push(`tagged.task_id = ${bind(taskId)}`)
  return {
    each: eachOf(states, bind),
    table: 'public.platform_run_tags AS tagged JOIN public.platform_runs AS run ON run.id = tagged.run_id',
    createdAt: 'tagged.created_at',
    id: 'tagged.run_id',
    where,
    covers: ['tag', 'states', 'tenantId', 'taskId'],
  }
}

function stripes(filter: RunFilter, states: readonly FinalState[], bind: Bind): Way {
  const { tenantId, taskId, fingerprint, triggeredBy } = filter
  const within: string[] = []
  if (tenantId !== undefined) within.push(`tenant_id = ${bind(tenantId)}`)
  if (taskId !== undefined) within.push(`task_id = ${bind(taskId)}`)
  const wanted = [`state = ANY(${bind(states)}::text[])`]
  if (triggeredBy !== undefined) wanted.push(`triggered_by = ${bind(triggeredBy.kind)}`)
  if (fingerprint !== undefined) wanted.push(`task_id IN (${taskOfGroup(bind(fingerprint))})`)
  return {
    ...runs,
    each: `(
      SELECT * FROM (${selectStripes(within, taskId !== undefined)}) AS stripe WHERE ${wanted.join(' AND ')}
    ) AS each`,
    where: ['run.task_id = each.task_id', 'run.state = each.state', 'run.triggered_by = each.triggered_by'],
    covers: ['taskId', 'states', 'triggeredBy'],
  }
}

/** Another task's stripes have nothing of the group. */
function taskOfGroup(fingerprint: string): string {
  return `SELECT task_id FROM public.platform_failure_groups WHERE fingerprint = ${fingerprint}`
}

const searchedFirst = 400

/**
 * By a text in the error. One that many errors have is soon found among the newest; only for one that is not, the index
 * over the texts is asked. Asked for a common text, it would answer a good part of the table, to be sorted.
 */
function searched(filter: RunFilter, states: readonly FinalState[], limit: string, bind: Bind): string {
  const { errorText } = filter
  const others: RunFilter = { ...without(filter, ['errorText']), limit: filter.limit }
  const hasText = contentConditions({ ...(errorText !== undefined && { errorText }) }, bind).join(' AND ')
  const farther = [
    // As the index says it, for the planner to see that it may use it.
    `run.state = 'failed'`,
    hasText,
    ...contentConditions(without(others, ['states']), bind),
    ...pageConditions(filter, bind, runs),
    '(run.created_at, run.id) < (SELECT created_at, id FROM near ORDER BY created_at, id LIMIT 1)',
    `(SELECT count(*) FROM found) < ${limit}`,
  ]
  return `
    WITH near AS MATERIALIZED (${newest(others, states, String(searchedFirst), bind)}),
    found AS MATERIALIZED (
      SELECT run.id, run.created_at FROM near JOIN public.platform_runs AS run USING (id) WHERE ${hasText}
      ORDER BY run.created_at DESC, run.id DESC LIMIT ${limit}
    )
    SELECT id, created_at FROM found
    UNION ALL (
      SELECT run.id, run.created_at FROM public.platform_runs AS run WHERE ${farther.join(' AND ')}
      ORDER BY run.created_at DESC, run.id DESC LIMIT ${limit}
    )`
}
