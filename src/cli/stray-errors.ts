/**
 * For the commands that run tasks. A task may leave a promise behind that nobody awaits, or throw in a timer; Node would
 * end the process, and with it every run of every tenant that has nothing to do with it.
 *
 * A rejection is one promise's own affair: it is logged, and the work goes on. After an exception that nobody caught, any
 * code may have been left half-way: the process stops as after Ctrl-C, so that what runs finishes or is handed back and
 * spends no attempt, and ends as a defect.
 */
import type { Logger } from 'pino'
import { currentRun } from '../task/context.ts'
import { defect } from './failure.ts'
import { askToStop, Interrupted } from './interrupt.ts'

export function outliveStrayErrors(logger: Logger): void {
  process.on('unhandledRejection', (reason) => {
    logger.error({ err: reason, ...origin() }, 'A rejection was left that nothing handles; going on')
  })
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error, ...origin() }, 'An exception was thrown that nothing catches; stopping')
    process.exitCode = defect
    askToStop(new Interrupted('an exception that nothing catches', defect))
  })
}

/** The run it came from, where this version of Node calls the handlers inside of it. */
function origin(): { run?: string; tenant?: string } {
  const current = currentRun()
  return current ? { run: current.runId, tenant: current.tenantId } : {}
}
