import pg from 'pg'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { inFiveTrips } from './five-trips.ts'
import { type Benchmark, rate } from './measure.ts'
import { makePlatform, makeTenants } from './platform.ts'
import { drainWith } from './worker.ts'

const runs = 10_000
const tenantCount = 50
const concurrency = 50

export const tenantUpdates: Benchmark = {
  name: 'tenant-updates',
  question: `${runs} runs over ${tenantCount} tenants that each update one row, against calling the function, ${concurrency} at once both`,
  unit: 'per second',
  targets: [
    { ours: 'as runs, by a worker', theirs: 'called, no queue', atLeast: 0.9 },
    // The queue's share depends on what it is a share of: the same update as five round trips.
    { ours: 'as runs, by a worker', theirs: 'called in five trips, no queue' },
  ],
  async prepare(databaseUrl) {
    const task = defineTask({
      id: 'bench/update',
      payload: tenantPayload({}),
      run: ({ tenantId }) => update(tenantId),
    })
    const platform = makePlatform({ databaseUrl, tasks: [task] })
    const slugs = await makeTenants(platform, tenantCount)
    const { database, directory } = await platform.ready()
    const tenants = await Promise.all(slugs.map((slug) => directory.admit(slug)))
    const pool = new pg.Pool({ connectionString: databaseUrl, max: platform.config.poolSize })
    const update = async (tenantId: string) => {
      await database.withTenant(
        tenantId,
        () => database.sql`UPDATE orders SET total_cents = total_cents + 1 WHERE id = ${'order_1'}`,
      )
    }
    const tenantOf = (index: number) => slugs[index % slugs.length]!
    return {
      sides: {
        'as runs, by a worker': async () => {
          for (let index = 0; index < runs; index += 1_000) {
            await task.batchTrigger(
              Array.from({ length: 1_000 }, (_, item) => ({ payload: { tenantId: tenantOf(index + item) } })),
            )
          }
          return await drainWith(platform, runs, concurrency)
        },
        'called, no queue': () => rate(runs, concurrency, (index) => update(tenantOf(index))),
        'called in five trips, no queue': () =>
          rate(runs, concurrency, (index) =>
            inFiveTrips(
              pool,
              tenants[index % tenants.length]!,
              'UPDATE orders SET total_cents = total_cents + 1 WHERE id = $1',
              ['order_1'],
            ),
          ),
      },
      async close() {
        await pool.end()
        await platform.close()
      },
    }
  },
}
