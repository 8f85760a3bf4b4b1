/** `cgk worker`: runs tasks until it is asked to stop, then finishes what it has begun. */
import { Command } from 'commander'
import { atLeastOne, list } from './arguments.ts'
import { untilAborted } from './interrupt.ts'
import { refuseInline, refuseTriggerDev, stayOnPlatform } from './session.ts'
import { outliveStrayErrors } from './stray-errors.ts'

interface Options {
  tasks?: string[]
  concurrency?: number
}

export const worker = new Command('worker')
  .description('run tasks until stopped; Ctrl-C finishes what runs, a second Ctrl-C does not')
  .option('--tasks <list>', 'only these: ids, or prefixes like orders/*', list)
  .option('--concurrency <n>', 'runs in flight at once', atLeastOne)
  .action(async ({ tasks, concurrency }: Options) => {
    await stayOnPlatform(async ({ startWorker }, platform, stop) => {
      refuseInline(platform)
      refuseTriggerDev(platform)
      const { config, logger } = platform
      outliveStrayErrors(logger)
      const running = await startWorker({
        ...(tasks && { only: tasks }),
        ...(concurrency !== undefined && { concurrency }),
      })
      logger.info({ worker: running.name }, 'Worker started')
      await untilAborted(stop)
      logger.info({ worker: running.name }, 'Worker stopping')
      await running.stop({ timeoutMs: config.stopTimeoutMs })
      logger.info({ worker: running.name }, 'Worker stopped')
    })
  })
