import { setTimeout as sleep } from 'node:timers/promises'
import { PgBoss } from 'pg-boss'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { type Benchmark, median } from './measure.ts'
import { makePlatform, makeTenants } from './platform.ts'

const samples = 200
/** Long enough for the worker to be idle again. */
const pauseMs = 15

export const latency: Benchmark = {
  name: 'latency',
  question:
    'from trigger to the first line of run on an idle worker, against send() and fetch() in line; p50',
  unit: 'ms',
  targets: [{ ours: 'trigger to start', theirs: 'send + fetch in line', atMost: 1.5 }],
  async prepare(databaseUrl) {
    let onStart: () => void = () => {}
    const task = defineTask({ id: 'bench/latency', payload: tenantPayload({}), run: () => onStart() })
    const platform = makePlatform({ databaseUrl, tasks: [task] })
    const [tenantId] = await makeTenants(platform, 1)
    const worker = await platform.startWorker()
    const boss = new PgBoss({ connectionString: databaseUrl, supervise: false, schedule: false })
    await boss.start()
    await boss.createQueue('bench-line')
    const p50 = async (once: () => Promise<unknown>) => {
      const times: number[] = []
      for (let sample = 0; sample < samples; sample += 1) {
        const started = performance.now()
        await once()
        times.push(performance.now() - started)
        await sleep(pauseMs)
      }
      return median(times)
    }
    // The first notifications come when the listener has connected.
    await sleep(500)
    return {
      sides: {
        'trigger to start': () =>
          p50(async () => {
            const started = new Promise<void>((resolve) => {
              onStart = resolve
            })
            await Promise.all([task.trigger({ tenantId: tenantId! }), started])
          }),
        'send + fetch in line': () =>
          p50(async () => {
            await boss.send('bench-line', { tenantId })
            await boss.fetch('bench-line')
          }),
      },
      async close() {
        await worker.stop()
        await boss.stop({ graceful: false })
        await platform.close()
      },
    }
  },
}
