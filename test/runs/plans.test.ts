/**
 * How pages and counts are read from a long history: by indexes alone, and from few pages of the table, whatever the
 * filter. How long it takes with a million runs is a benchmark (test/bench/history.ts).
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runs } from '../../src/default-platform.ts'
import type { RunFilter } from '../../src/engines/engine.ts'
import { pageStatement } from '../../src/engines/pg-boss/read.ts'
import {
  completedLaterSettings,
  completedLaterSql,
  completedLaterValues,
} from '../../src/runs/bulk/completed-later.ts'
import { countEndedSql } from '../../src/runs/counts.ts'
import { listSql as listFailuresSql } from '../../src/runs/failures.ts'
import { pageSettings } from '../../src/runs/list-ended.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { fillHistory, filters } from '../fixtures/history/fill.ts'

const many = 60_000

let kit: TestPlatform

beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [] })
  await fillHistory((await kit.platform.ready()).database, many)
}, 120_000)
afterAll(() => kit.close())

interface PlanNode {
  'Node Type': string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: PlanNode[]
}

/** What was done, node by node. */
async function explain(text: string, values: unknown[], settings = pageSettings): Promise<PlanNode[]> {
  const { database } = await kit.platform.ready()
  const { rows } = await database.queryWith<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(
    settings,
    `EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`,
    values,
  )
  const flat = (node: PlanNode): PlanNode[] => [node, ...(node.Plans ?? []).flatMap(flat)]
  return flat(rows[0]!['QUERY PLAN'][0].Plan)
}

/** Rows that were looked at, in tables and their indexes, also in vain. */
function seen(nodes: readonly PlanNode[]): number {
  const ofTables = nodes.filter((node) => node['Relation Name'] !== undefined)
  const perLoop = (node: PlanNode) =>
    node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0)
  return ofTables.reduce((sum, node) => sum + perLoop(node) * node['Actual Loops'], 0)
}

test.each(Object.entries(filters()))('a page of %s', async (_, filter: Partial<RunFilter>) => {
  const { text, values } = pageStatement({ limit: 50, ...filter })
  const nodes = await explain(text, values)
  const scanned = nodes
    .filter((node) => node['Node Type'] === 'Seq Scan')
    .map((node) => node['Relation Name'])
  expect(scanned).toEqual([])
  // At most a page of each stripe, and for a text that is not there the 400 newest of each: with more runs no more.
  expect(seen(nodes)).toBeLessThan(filter.errorText === undefined ? 6_000 : 15_000)
})

test('a page answers what the filter says, in order, and the next one goes on', async () => {
  const { database } = await kit.platform.ready()
  for (const [name, filter] of Object.entries(filters())) {
    const page = await runs.list({ ...filter, limit: 20 })
    const rest = page.next === null ? [] : (await runs.list({ ...filter, limit: 20, after: page.next })).runs
    const { rows } = await database.query<{ id: string }>(plainly(filter))
    expect([name, ...[...page.runs, ...rest].map(({ id }) => id)]).toEqual([
      name,
      ...rows.map(({ id }) => id),
    ])
  }
})

test.each([
  ['all', null],
  ['a small tenant', 'tenant_49'],
])('a page of failure groups of %s', async (_, tenantId) => {
  const values = [tenantId, null, null, ['open'], null, null, 51]
  const nodes = await explain(listFailuresSql, values)
  expect(nodes.map((node) => node['Relation Name'])).not.toContain('platform_runs')
  // Of all tenants, every count is read once.
  expect(seen(nodes)).toBeLessThan(tenantId === null ? 40_000 : 3_000)
})

test('the counts of a day', async () => {
  const values = [new Date(Date.now() - 86_400_000), null, null, null]
  const nodes = await explain(countEndedSql, values)
  expect(nodes.map((node) => node['Relation Name'])).not.toContain('platform_runs')
  // One row for each task, tenant, state and hour, and no more with more runs.
  expect(seen(nodes)).toBeLessThan(40_000)
  const counts = await runs.counts()
  expect(counts.reduce((sum, { runs: number }) => sum + number, 0)).toBe(many)
})

test('what has completed later than a page of runs', async () => {
  const page = await runs.list({ states: ['failed'], limit: 1_000 })
  const values = completedLaterValues(page.runs)
  const nodes = await explain(completedLaterSql, values, completedLaterSettings)
  expect(nodes.map((node) => node['Node Type'])).not.toContain('Seq Scan')
  expect(seen(nodes)).toBeLessThan(25_000)
})

/** The same question as anybody would write it. */
function plainly(filter: Partial<RunFilter>): string {
  const quoted = (value: string) => `'${value.replaceAll("'", "''")}'`
  const { tenantId, taskId, states, tag, from, to, fingerprint, errorText, idPrefix, triggeredBy, replayOf } =
    filter
  const conditions = ['true']
  if (tenantId) conditions.push(`tenant_id = ${quoted(tenantId)}`)
  if (taskId) conditions.push(`task_id = ${quoted(taskId)}`)
  if (states) conditions.push(`state IN (${states.map(quoted).join(', ')})`)
  if (tag) conditions.push(`${quoted(tag)} = ANY(tags)`)
  if (from) conditions.push(`created_at >= ${quoted(from.toISOString())}`)
  if (to) conditions.push(`created_at < ${quoted(to.toISOString())}`)
  if (fingerprint) conditions.push(`fingerprint = ${quoted(fingerprint)}`)
  if (errorText) conditions.push(`position(${quoted(errorText)} in error->>'message') > 0`)
  if (idPrefix) conditions.push(`id::text LIKE ${quoted(`${idPrefix}%`)}`)
  if (triggeredBy) conditions.push(`triggered_by = ${quoted(triggeredBy.kind)}`)
  if (triggeredBy?.ref) conditions.push(`triggered_ref = ${quoted(triggeredBy.ref)}`)
  if (replayOf) conditions.push(`replay_of = ${quoted(replayOf)}`)
  return `SELECT id FROM public.platform_runs WHERE ${conditions.join(' AND ')} ORDER BY created_at DESC, id DESC LIMIT 40`
}
