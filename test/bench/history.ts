import { Client } from 'pg'
import { pageStatement } from '../../src/engines/pg-boss/read.ts'
import { countEndedSql } from '../../src/runs/counts.ts'
import { pageSettings } from '../../src/runs/list-ended.ts'
import { fillHistory, filters } from '../fixtures/history/fill.ts'
import type { Benchmark } from './measure.ts'
import { makePlatform } from './platform.ts'

const many = 1_000_000

/** In the database: planning and execution, as EXPLAIN tells them. */
async function timeOf(client: Client, text: string, values: unknown[]): Promise<number> {
  const { rows } = await client.query(`EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ${text}`, values)
  const [{ 'Planning Time': planning, 'Execution Time': execution }] = rows[0]['QUERY PLAN']
  return planning + execution
}

export const history: Benchmark = {
  name: 'history',
  question: `the first page by every filter, and the counts of a day, with ${many} runs that ended within it`,
  unit: 'ms',
  targets: [],
  limits: [
    { side: 'the slowest first page', atMost: 50 },
    { side: 'counts by task, tenant and state', atMost: 200 },
  ],
  async prepare(databaseUrl) {
    const platform = makePlatform({ databaseUrl, tasks: [] })
    await fillHistory((await platform.ready()).database, many)
    const client = new Client({ connectionString: databaseUrl })
    await client.connect()
    for (let at = 0; at < pageSettings.length; at += 2) {
      await client.query('SELECT set_config($1, $2, false)', pageSettings.slice(at, at + 2))
    }
    const pages = Object.values(filters()).map((filter) => pageStatement({ limit: 50, ...filter }))
    const measured = async () => {
      const times: number[] = []
      for (const { text, values } of pages) times.push(await timeOf(client, text, values))
      return times.sort((a, b) => a - b)
    }
    await measured()
    return {
      sides: {
        'the slowest first page': async () => (await measured()).at(-1)!,
        'a first page (median of all filters)': async () => (await measured())[pages.length >> 1]!,
        'counts by task, tenant and state': async () => {
          return await timeOf(client, countEndedSql, [new Date(Date.now() - 86_400_000), null, null, null])
        },
      },
      async close() {
        await client.end()
        await platform.close()
      },
    }
  },
}
