import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
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
  targets: [{ ours: 'as runs, by a worker', theirs: 'called, no queue', atLeast: 0.9 }],
  async prepare(databaseUrl) {
    const task = defineTask({
      id: 'bench/update',
      payload: tenantPayload({}),
      run: ({ tenantId }) => update(tenantId),
    })
    const platform = makePlatform({ databaseUrl, tasks: [task] })
    const slugs = await makeTenants(platform, tenantCount)
    const { database } = await platform.ready()
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
      },
      close: () => platform.close(),
    }
  },
}
