/** The commands, and what happens around one: parse, run, report what went wrong, leave with the right code. */
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { auditList } from './audit-list.ts'
import { credentialDelete } from './credential-delete.ts'
import { credentialKey } from './credential-key.ts'
import { credentialList } from './credential-list.ts'
import { credentialRotate } from './credential-rotate.ts'
import { credentialSet } from './credential-set.ts'
import { credentialVerify } from './credential-verify.ts'
import { deployCheck } from './deploy-check.ts'
import { dev } from './dev.ts'
import { doctor } from './doctor.ts'
import { reportFailure } from './failure.ts'
import { failureList } from './failure-list.ts'
import { failureIgnore, failureReopen, failureResolve } from './failure-mark.ts'
import { holdList } from './hold-list.ts'
import { leaveAtOnce } from './interrupt.ts'
import { keyCreate } from './key-create.ts'
import { keyList } from './key-list.ts'
import { keyRevoke } from './key-revoke.ts'
import { migrate } from './migrate.ts'
import { migrateStatus } from './migrate-status.ts'
import { replayConfirm } from './replay-confirm.ts'
import { replayList } from './replay-list.ts'
import { replayShow } from './replay-show.ts'
import { replayStop } from './replay-stop.ts'
import { runCancel } from './run-cancel.ts'
import { runList } from './run-list.ts'
import { runLogs } from './run-logs.ts'
import { runReplay } from './run-replay.ts'
import { runShow } from './run-show.ts'
import { scheduleList } from './schedule-list.ts'
import { schedulePause, scheduleResume } from './schedule-pause.ts'
import { scheduleRun } from './schedule-run.ts'
import { scheduleSet } from './schedule-set.ts'
import { serve } from './serve.ts'
import { tenantCreate } from './tenant-create.ts'
import { tenantDelete } from './tenant-delete.ts'
import { tenantList } from './tenant-list.ts'
import { tenantResume, tenantSuspend } from './tenant-suspend.ts'
import { trigger } from './trigger.ts'
import { userConfirm } from './user-confirm.ts'
import { userCreate } from './user-create.ts'
import { userDisable, userEnable } from './user-disable.ts'
import { userList } from './user-list.ts'
import { userPassword } from './user-password.ts'
import { worker } from './worker.ts'

const groups: Record<string, Command[]> = {
  'Working:': [dev, worker, serve],
  'Runs:': [trigger, runShow, runLogs, runList, runCancel],
  'Replays:': [runReplay, replayConfirm, replayList, replayShow, replayStop, auditList],
  'Failures:': [failureList, failureResolve, failureIgnore, failureReopen],
  'Schedules:': [scheduleList, scheduleSet, scheduleRun, schedulePause, scheduleResume],
  'Tenants:': [tenantCreate, tenantList, tenantSuspend, tenantResume, tenantDelete],
  'Credentials:': [credentialSet, credentialList, credentialVerify, credentialDelete, holdList],
  'People and API keys:': [
    userCreate,
    userList,
    userPassword,
    userConfirm,
    userDisable,
    userEnable,
    keyCreate,
    keyList,
    keyRevoke,
  ],
  'Encryption:': [credentialKey, credentialRotate],
  'Database:': [migrate, migrateStatus, doctor],
  'Trigger.dev:': [deployCheck],
}

const exitCodes = `
Exit codes: 0 done; 1 refused, or it did not succeed; 2 not a valid command line, or not confirmed; 70 a defect, with its stack.
Results go to stdout, logs and errors to stderr.`

export async function main(argv: readonly string[]): Promise<void> {
  // `cgk run:list | head` closes our stdout: no reason to end before everything is let go of.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
  process.on('uncaughtException', (error) => {
    // What works for others has a way of its own to end: stray-errors.ts.
    if (process.listenerCount('uncaughtException') === 1) leaveAtOnce(reportFailure(error))
  })
  await run(argv)
  // Not left to an empty event loop: a task's module may hold a timer or a socket open.
  process.stdout.write('', () => process.exit())
}

/** Commands set `process.exitCode` when they did their work and its answer is no. */
async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(argv)
  } catch (error) {
    process.exitCode = reportFailure(error)
  }
}

function program(): Command {
  const cgk = new Command('cgk')
    .description('Background jobs for multi-tenant products, on Postgres alone.')
    .version(version(), '--version', 'print the version of the package')
    .exitOverride()
    .showHelpAfterError('Add --help to see what it takes.')
    .addHelpText('after', exitCodes)
  for (const [heading, commands] of Object.entries(groups)) {
    for (const command of commands) cgk.addCommand(command.copyInheritedSettings(cgk).helpGroup(heading))
  }
  return cgk
}

/** In the repo and in the published package alike, package.json lies two folders up. */
function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
