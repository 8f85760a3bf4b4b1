import { PgBoss } from 'pg-boss'
import { z } from 'zod'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { type Benchmark, rate } from './measure.ts'
import { makePlatform, makeTenants } from './platform.ts'

const runs = 5_000
const callers = 32

const task = defineTask({
  id: 'bench/trigger',
  payload: tenantPayload({ orderId: z.string() }),
  async run() {},
})

export const trigger: Benchmark = {
  name: 'trigger',
  question: `task.trigger by ${callers} callers against boss.send by ${callers}`,
  unit: 'per second',
  targets: [{ ours: 'task.trigger', theirs: 'boss.send', atLeast: 4 }],
  async prepare(databaseUrl) {
    const platform = makePlatform({ databaseUrl, tasks: [task] })
    const [tenantId] = await makeTenants(platform, 1)
    const boss = new PgBoss({ connectionString: databaseUrl, supervise: false, schedule: false })
    await boss.start()
    await boss.createQueue('bench-send')
    return {
      sides: {
        'task.trigger': () =>
          rate(runs, callers, (index) => task.trigger({ tenantId: tenantId!, orderId: `order_${index}` })),
        'boss.send': () =>
          rate(runs, callers, (index) => boss.send('bench-send', { tenantId, orderId: `order_${index}` })),
      },
      async close() {
        await boss.stop({ graceful: false })
        await platform.close()
      },
    }
  },
}
