import { PgBoss } from 'pg-boss'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import type { Benchmark } from './measure.ts'
import { makePlatform, makeTenants } from './platform.ts'
import { drainWith } from './worker.ts'

const runs = 20_000
const batch = 500

const task = defineTask({ id: 'bench/drain', payload: tenantPayload({}), async run() {} })

export const drain: Benchmark = {
  name: 'drain',
  question: `a worker drains ${runs} empty runs, against a loop of boss.fetch and boss.complete in batches of ${batch}`,
  unit: 'per second',
  targets: [{ ours: 'a worker', theirs: 'the loop', atLeast: 0.7 }],
  async prepare(databaseUrl) {
    const platform = makePlatform({ databaseUrl, tasks: [task] })
    const [tenantId] = await makeTenants(platform, 1)
    const boss = new PgBoss({ connectionString: databaseUrl, supervise: false, schedule: false })
    await boss.start()
    await boss.createQueue('bench-loop')
    const payload = { tenantId: tenantId! }
    return {
      sides: {
        'a worker': async () => {
          for (let index = 0; index < runs; index += 1_000) {
            await task.batchTrigger(Array.from({ length: 1_000 }, () => ({ payload })))
          }
          return await drainWith(platform, runs, 2 * batch)
        },
        'the loop': async () => {
          for (let index = 0; index < runs; index += 1_000) {
            await boss.insert(
              'bench-loop',
              Array.from({ length: 1_000 }, () => ({ data: payload })),
            )
          }
          const started = performance.now()
          for (let done = 0; done < runs; ) {
            const jobs = await boss.fetch('bench-loop', { batchSize: batch })
            await boss.complete(
              'bench-loop',
              jobs.map((job) => job.id),
            )
            done += jobs.length
          }
          return runs / ((performance.now() - started) / 1000)
        },
      },
      async close() {
        await boss.stop({ graceful: false })
        await platform.close()
      },
    }
  },
}
