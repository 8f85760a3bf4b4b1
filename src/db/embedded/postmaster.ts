/**
 * Starts and stops the server process (Postgres calls it the postmaster). Everything here is called under the lock.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedPostgresError } from '../../errors.ts'
import { asAccount } from './account.ts'
import type { ClusterPlan } from './cluster.ts'
import type { Folder } from './folder.ts'
import { startOf } from './living-process.ts'
import { findPostmaster, type Postmaster, readPidFile, removeMisleadingPidFile } from './pid-file.ts'
import { settingArguments } from './settings.ts'

// Crash recovery of a large cluster may take a while; it goes on when we stop waiting, and the next start adopts it.
const READY_TIMEOUT_MS = 120_000
const MAX_LAUNCHES = 60
const PAUSE_MS = 250
const PORT_PATIENCE_MS = 3_000
const FAST_SHUTDOWN_MS = 30_000
const IMMEDIATE_SHUTDOWN_MS = 10_000
const POLL_MS = 10

/**
 * Adopts the living Postgres of the folder, or starts one: on the port of a crashed one, if nobody took it, for that is
 * where the pools of living processes look.
 */
export async function runPostmaster(plan: ClusterPlan, settings: Record<string, string>, oldPort?: number) {
  const { folder } = plan
  // Read once: a launch that fails takes the pid file with it.
  const wanted = oldPort ?? readPidFile(folder)?.port
  for (let launches = 0; ; ) {
    const found = findPostmaster(folder)
    if (!found && launches === 0) await keepOldLog(folder)
    if (!found) launches += 1
    const pid = found?.pid ?? (await launch(plan, settings, wanted))
    const postmaster = await untilReadyOrDead(folder, pid)
    if (postmaster) return { postmaster, joined: found !== undefined }
    // One that we found and that died was stopping: the next round starts a new one.
    if (!found && (launches >= MAX_LAUNCHES || !mayPass(tail(folder.log)))) throw startFailed(folder)
    await sleep(PAUSE_MS)
  }
}

/** A fast shutdown: open transactions are rolled back, clients are sent away. SIGTERM would wait for them for ever. */
export async function stopPostmaster(folder: Folder, signal: 'SIGINT' | 'SIGQUIT' = 'SIGINT'): Promise<void> {
  const found = findPostmaster(folder)
  if (!found) return
  send(found.pid, signal)
  if (await untilGone(found.pid, FAST_SHUTDOWN_MS)) return
  send(found.pid, 'SIGQUIT')
  if (await untilGone(found.pid, IMMEDIATE_SHUTDOWN_MS)) return
  throw new EmbeddedPostgresError(
    `The embedded Postgres (process ${found.pid}, data in ${folder.data}) does not stop. Look at ${folder.log} and end the process by hand.`,
  )
}

/** An immediate shutdown that blocks this thread: for the `exit` event, which waits for no promise. */
export function killPostmaster(folder: Folder): void {
  const found = findPostmaster(folder)
  if (!found) return
  send(found.pid, 'SIGQUIT')
  const deadline = Date.now() + IMMEDIATE_SHUTDOWN_MS
  const nothing = new Int32Array(new SharedArrayBuffer(4))
  while (startOf(found.pid) !== undefined && Date.now() < deadline) Atomics.wait(nothing, 0, 0, POLL_MS)
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    // It ended by itself in this very moment.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function launch(
  plan: ClusterPlan,
  settings: Record<string, string>,
  wantedPort: number | undefined,
): Promise<number> {
  const { binaries, folder, account, durable } = plan
  await removeMisleadingPidFile(folder)
  const port = await choosePort(wantedPort)
  const { command, args, options } = asAccount(account, binaries.postgres, [
    '-D',
    folder.data,
    ...settingArguments(port, durable, settings),
  ])
  const log = await open(folder.log, 'a', 0o600)
  try {
    // A session of its own: Ctrl-C in the terminal reaches the platform, which then stops Postgres in order.
    const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', log.fd, log.fd] })
    await once(child, 'spawn')
    child.unref()
    return child.pid!
  } catch (error) {
    throw new EmbeddedPostgresError(`${command} cannot be executed: ${(error as Error).message}.`, {
      cause: error,
    })
  } finally {
    await log.close()
  }
}

/** The log starts anew with the server; the one before stays, for it may say why that server ended. */
async function keepOldLog(folder: Folder): Promise<void> {
  await rename(folder.log, `${folder.log}.old`).catch(() => {})
}

async function untilReadyOrDead(folder: Folder, pid: number): Promise<Postmaster | undefined> {
  const deadline = Date.now() + READY_TIMEOUT_MS
  for (;;) {
    const isLiving = startOf(pid) !== undefined
    const written = readPidFile(folder)
    if (written?.pid === pid && written.status === 'ready') return written
    if (!isLiving) return undefined
    if (Date.now() > deadline) throw notReady(folder, pid)
    await sleep(POLL_MS)
  }
}

/** False when it still lives after that time. */
export async function untilGone(pid: number, timeoutMs: number): Promise<boolean> {
  const start = startOf(pid)
  const deadline = Date.now() + timeoutMs
  while (start !== undefined && startOf(pid) === start) {
    if (Date.now() > deadline) return false
    await sleep(POLL_MS)
  }
  return true
}

/** The children of a killed server may hold its port for a moment longer. */
async function choosePort(wanted = 0): Promise<number> {
  const deadline = Date.now() + PORT_PATIENCE_MS
  while (wanted !== 0 && Date.now() < deadline) {
    const port = await freePort(wanted).catch(() => undefined)
    if (port !== undefined) return port
    await sleep(PAUSE_MS)
  }
  return freePort()
}

/** Fails when the wanted one is taken; 0 is any. */
async function freePort(wanted = 0): Promise<number> {
  const server = createServer().listen(wanted, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/**
 * Causes that go away: the port was taken since we looked; children of a killed postmaster still hold its memory; a
 * postmaster whose starter was killed had not written its file when we looked.
 */
function mayPass(log: string): boolean {
  return /Address already in use|shared memory block .* is still in use|"postmaster.pid" already exists/.test(
    log,
  )
}

function startFailed(folder: Folder): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `The embedded Postgres in ${folder.path} did not start. Mend what its log says (a full disk, a taken port, a wrong setting) and start again:\n${tail(folder.log)}`,
  )
}

function notReady(folder: Folder, pid: number): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `The embedded Postgres (process ${pid}) is not ready after ${READY_TIMEOUT_MS / 1000} s; it may still be recovering from a crash. Wait and start again. Its log ${folder.log} ends with:\n${tail(folder.log)}`,
  )
}

function tail(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().split('\n').slice(-15).join('\n')
  } catch {
    return '(there is no log)'
  }
}
