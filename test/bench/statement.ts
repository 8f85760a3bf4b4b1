import pg from 'pg'
import { quoteIdentifier } from '../../src/db/statement.ts'
import { inFiveTrips } from './five-trips.ts'
import { type Benchmark, rate } from './measure.ts'
import { makePlatform, makeTenants } from './platform.ts'

const statements = 6_000
const callers = 10

export const statement: Benchmark = {
  name: 'statement',
  question: `withTenant and one statement, ${callers} callers, against the same in five trips and against the bare statement`,
  unit: 'per second',
  targets: [
    { ours: 'withTenant + sql', theirs: 'BEGIN, 2 x SET LOCAL, statement, COMMIT', atLeast: 1.5 },
    { ours: 'withTenant + sql', theirs: 'the bare statement' },
  ],
  async prepare(databaseUrl) {
    const platform = makePlatform({ databaseUrl, poolSize: callers })
    const slugs = await makeTenants(platform, 20)
    const { database, directory } = await platform.ready()
    const tenants = await Promise.all(slugs.map((slug) => directory.admit(slug)))
    const pool = new pg.Pool({ connectionString: databaseUrl, max: callers })
    const tenantOf = (index: number) => tenants[(index * 7) % tenants.length]!
    return {
      sides: {
        'withTenant + sql': () =>
          rate(statements, callers, (index) =>
            database.withTenant(
              tenantOf(index).slug,
              () => database.sql`SELECT status FROM orders WHERE id = ${'order_1'}`,
            ),
          ),
        'BEGIN, 2 x SET LOCAL, statement, COMMIT': () =>
          rate(statements, callers, (index) =>
            inFiveTrips(pool, tenantOf(index), 'SELECT status FROM orders WHERE id = $1', ['order_1']),
          ),
        'the bare statement': () =>
          rate(statements, callers, (index) =>
            pool.query(`SELECT status FROM ${quoteIdentifier(tenantOf(index).schema)}.orders WHERE id = $1`, [
              'order_1',
            ]),
          ),
      },
      async close() {
        await pool.end()
        await platform.close()
      },
    }
  },
}
