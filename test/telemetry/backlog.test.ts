/** What asking for the backlog costs: as much with 100,000 rows as with a thousand. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../src/db/database.ts'
import { backlogSql, readBacklog } from '../../src/engines/pg-boss/backlog.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/platform.ts'

const queued = 100_000
const busy = defineTask({ id: 'backlog/busy', payload: tenantPayload({}), run: () => null })
const quiet = defineTask({ id: 'backlog/quiet', payload: tenantPayload({}), run: () => null })

let platform: TestPlatform
let database: Database
beforeAll(async () => {
  platform = await createTestPlatform({ engine: 'pg-boss', tasks: [busy, quiet] })
  database = (await platform.platform.ready()).database
  const tenantId = await platform.tenant()
  for (const task of [busy, quiet]) await task.trigger({ tenantId })
  await multiply(busy.id, queued - 1)
})
afterAll(() => platform.close())

/** Copies of the task's row, each due a second after the one before. */
async function multiply(taskId: string, times: number): Promise<void> {
  const { rows } = await database.query<{ list: string }>(
    `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS list FROM pg_attribute
     WHERE attrelid = 'pgboss.job_common'::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
       AND attname NOT IN ('id', 'start_after')`,
  )
  const columns = rows[0]!.list
  await database.query(
    `INSERT INTO pgboss.job_common (id, start_after, ${columns})
     SELECT gen_random_uuid(), start_after - n * interval '1 second', ${columns}
     FROM pgboss.job_common, generate_series(1, $2::int) AS n WHERE name = $1`,
    [taskId, times],
  )
}

interface Plan {
  'Node Type': string
  'Index Name'?: string
  'Relation Name'?: string
  'Actual Rows': number
  'Actual Loops': number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}

/** As it is run: the settings of the reading go with it. */
async function explain(): Promise<Plan> {
  const client = await database.pool.connect()
  try {
    await client.query('BEGIN')
    for (const name of ['sort', 'bitmapscan', 'seqscan', 'hashjoin'])
      await client.query(`SET LOCAL enable_${name} = off`)
    const { rows } = await client.query(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${backlogSql}`, [
      [busy.id, quiet.id],
    ])
    return rows[0]['QUERY PLAN'][0].Plan
  } finally {
    await client.query('ROLLBACK')
    client.release()
  }
}

test.each(['before', 'after'])('%s Postgres has looked at the table', async (when) => {
  if (when === 'after') await database.query('ANALYZE pgboss.job_common')
  const plan = await explain()
  const scans = nodesOf(plan).filter((node) => node['Relation Name'] === 'job_common')
  expect(scans.length).toBeGreaterThan(0)
  for (const scan of scans) {
    expect(scan['Node Type']).toMatch(/^Index (Only )?Scan$/)
    expect(scan['Index Name']).toBe('job_common_i14')
    expect(scan['Actual Rows'] * scan['Actual Loops']).toBeLessThanOrEqual(1_001)
  }
  expect(plan['Shared Hit Blocks'] + plan['Shared Read Blocks']).toBeLessThan(2_000)
})

test('beyond a thousand the depth is pg-boss’s own count, and until that has come at least a thousand', async () => {
  const taskIds = [busy.id, quiet.id, 'backlog/unknown']
  expect(await readBacklog(database, taskIds)).toEqual([
    { taskId: busy.id, depth: 1_000, ageMs: expect.any(Number) },
    { taskId: quiet.id, depth: 1, ageMs: expect.any(Number) },
    { taskId: 'backlog/unknown', depth: 0, ageMs: 0 },
  ])
  await database.query('UPDATE pgboss.queue SET ready_count = $2 WHERE name = $1', [busy.id, queued])
  const [ofBusy] = await readBacklog(database, taskIds)
  expect(ofBusy!.depth).toBe(queued)
  expect(ofBusy!.ageMs).toBeGreaterThan((queued - 10) * 1_000)
})

function nodesOf(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
}
