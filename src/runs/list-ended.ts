/**
 * A page of ended runs, newest first, as SQL. Each way into the table reads an index in the order of the page and no
 * further than the page is long; which way is decided here and not left to statistics. Indexes: 005_history.sql.
 */
import type { RunFilter } from '../engines/engine.ts'
import { type FinalState, finalStates } from '../task/run.ts'
import { type Bind, contentConditions, pageConditions } from './conditions.ts'
import { runColumns } from './run-row.ts'

/** Old statistics, or a costly guess, must not turn a page into a scan of the table. */
export const pageSettings = [
  ...['enable_seqscan', 'off'],
  ...['enable_hashjoin', 'off'],
  ...['enable_mergejoin', 'off'],
  ...['jit', 'off'],
]

/** Null: no ended run fits. */
export function endedPage(filter: RunFilter, bind: Bind): string | null {
  const states = endedStates(filter)
  if (states.length === 0) return null
  const { each, table, createdAt, id, where } = wayOf(filter, states, bind)
  const conditions = [
    ...where,
    ...contentConditions(filter, bind),
    ...pageConditions(filter, bind, { createdAt, id }),
  ]
  const limit = bind(filter.limit + 1)
  return `
    SELECT ${runColumns} FROM (
      SELECT page.id FROM ${each} CROSS JOIN LATERAL (
        SELECT ${id} AS id, ${createdAt} AS created_at FROM ${table} WHERE ${conditions.join(' AND ')}
        ORDER BY ${createdAt} DESC, ${id} DESC LIMIT ${limit}
      ) AS page
      ORDER BY page.created_at DESC, page.id DESC LIMIT ${limit}
    ) AS page JOIN public.platform_runs USING (id)`
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
}

const runs = { table: 'public.platform_runs AS run', createdAt: 'run.created_at', id: 'run.id' }
const once = '(SELECT 1) AS once'

function wayOf(filter: RunFilter, states: readonly FinalState[], bind: Bind): Way {
  const { idPrefix, replayOf, triggeredBy, tag } = filter
  // A handful: those that begin so, and the replays of one run.
  if (idPrefix !== undefined || replayOf !== undefined) return { ...runs, each: once, where: [] }
  if (triggeredBy?.ref !== undefined) {
    return { ...runs, each: eachOf(states, bind), where: ['run.state = each.state'] }
  }
  if (tag !== undefined) return tagged(filter, tag, states, bind)
  return stripes(filter, states, bind)
}

function eachOf(states: readonly FinalState[], bind: Bind): string {
  return `unnest(${bind(states)}::text[]) AS each (state)`
}

function tagged({ tenantId }: RunFilter, tag: string, states: readonly FinalState[], bind: Bind): Way {
  const where = [`tagged.tag = ${bind(tag)}`, 'tagged.state = each.state']
  if (tenantId !== undefined) where.push(`tagged.tenant_id = ${bind(tenantId)}`)
  return {
    each: eachOf(states, bind),
    table: 'public.platform_run_tags AS tagged JOIN public.platform_runs AS run ON run.id = tagged.run_id',
    createdAt: 'tagged.created_at',
    id: 'tagged.run_id',
    where,
  }
}

/**
 * The stripes there are, of a tenant or of all: each step is one probe of the index for the next one. Then those that
 * the filter is about.
 */
function stripes(filter: RunFilter, states: readonly FinalState[], bind: Bind): Way {
  const { tenantId, taskId, fingerprint, triggeredBy } = filter
  const within = [
    ...(tenantId === undefined ? [] : [`tenant_id = ${bind(tenantId)}`]),
    ...(taskId === undefined ? [] : [`task_id = ${bind(taskId)}`]),
  ]
  const wanted = [
    `state = ANY(${bind(states)}::text[])`,
    ...(triggeredBy === undefined ? [] : [`triggered_by = ${bind(triggeredBy.kind)}`]),
    // A failure group is of one task; another task's stripes have nothing of it.
    ...(fingerprint === undefined
      ? []
      : [
          `task_id IN (SELECT task_id FROM public.platform_failure_groups WHERE fingerprint = ${bind(fingerprint)})`,
        ]),
  ]
  const stripe = 'task_id, state, triggered_by'
  const next = (conditions: readonly string[]) => `
    SELECT ${stripe} FROM public.platform_runs
    ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
    ORDER BY ${stripe} LIMIT 1`
  return {
    ...runs,
    each: `(
      WITH RECURSIVE stripe AS (
        (${next(within)})
        UNION ALL
        SELECT next.* FROM stripe CROSS JOIN LATERAL (
          ${next([...within, `(${stripe}) > (stripe.task_id, stripe.state, stripe.triggered_by)`])}
        ) AS next
      )
      SELECT * FROM stripe WHERE ${wanted.join(' AND ')}
    ) AS each`,
    where: ['run.task_id = each.task_id', 'run.state = each.state', 'run.triggered_by = each.triggered_by'],
  }
}
