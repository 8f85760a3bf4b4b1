import type { Platform } from '../../src/platform.ts'

/** Starts a worker on a queue that holds `runs` runs and stops it when all are settled. Answers runs a second. */
export async function drainWith(platform: Platform, runs: number, concurrency: number): Promise<number> {
  const { promise: finished, resolve } = Promise.withResolvers<void>()
  let settled = 0
  const started = performance.now()
  const worker = await platform.startWorker({
    concurrency,
    onSettled: ({ outcome }) => {
      if (outcome !== 'completed') throw new Error(`A run of the benchmark came to ${outcome}.`)
      settled += 1
      if (settled === runs) resolve()
    },
  })
  await finished
  const seconds = (performance.now() - started) / 1000
  await worker.stop()
  return runs / seconds
}
