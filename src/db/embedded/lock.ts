/**
 * One process at a time may make, start or stop a cluster. The lock is a folder of numbered turns; the highest number
 * is the current turn, and the file holds the mark of its owner, or nothing once the turn is over. When the owner has
 * ended its turn or died, whoever links the next number first has the lock.
 *
 * Why not one lock file that is deleted when stale: between "it is stale" and "delete it" another process may have done
 * both and hold the lock already; numbers only grow, so a late decision can only lose.
 */
import { randomBytes } from 'node:crypto'
import { link, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmbeddedPostgresError } from '../../errors.ts'
import { isLiving, markOfThisProcess } from './living-process.ts'

// Longer than a first start on a slow disk (initdb) or the crash recovery of a large cluster.
const PATIENCE_MS = 180_000
const POLL_MS = 20

export async function withLock<T>(lockDir: string, fn: () => Promise<T>): Promise<T> {
  const turn = await takeTurn(lockDir)
  try {
    return await fn()
  } finally {
    await endTurn(turn)
  }
}

async function takeTurn(lockDir: string): Promise<string> {
  await mkdir(lockDir, { recursive: true })
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const { number, owner } = await currentTurn(lockDir)
    const turn = join(lockDir, String(number + 1))
    if (!isLiving(owner) && (await claim(lockDir, turn, number + 1))) return turn
    if (Date.now() > deadline) throw lockTimeout(lockDir, owner)
    await sleep(POLL_MS)
  }
}

async function currentTurn(lockDir: string): Promise<{ number: number; owner: string }> {
  const names = await readdir(lockDir)
  const number = Math.max(0, ...names.filter((name) => /^\d+$/.test(name)).map(Number))
  const owner = await readFile(join(lockDir, String(number)), 'utf8').catch(() => '')
  return { number, owner }
}

/** The link makes the turn and its owner visible in one step: nobody can see a turn without its owner. */
async function claim(lockDir: string, turn: string, number: number): Promise<boolean> {
  const draft = join(lockDir, `claim.${randomBytes(6).toString('hex')}`)
  await writeFile(draft, markOfThisProcess(), { mode: 0o644 })
  try {
    await link(draft, turn)
  } catch (error) {
    // ENOENT: the owner of a newer turn swept our draft away.
    if (isCode(error, 'EEXIST') || isCode(error, 'ENOENT')) return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
  // A slow claimer may link a number that was swept long ago; only the highest counts.
  if ((await currentTurn(lockDir)).number !== number) {
    await rm(turn, { force: true })
    return false
  }
  await sweepOlderTurns(lockDir, number)
  return true
}

async function sweepOlderTurns(lockDir: string, number: number): Promise<void> {
  const others = (await readdir(lockDir)).filter((name) => name !== String(number))
  await Promise.all(others.map((name) => rm(join(lockDir, name), { force: true })))
}

async function endTurn(turn: string): Promise<void> {
  await truncate(turn).catch((error) => {
    // The whole folder is gone when a temporary cluster was deleted.
    if (!isCode(error, 'ENOENT')) throw error
  })
}

function lockTimeout(lockDir: string, owner: string): EmbeddedPostgresError {
  const pid = owner.split('.')[0] || 'unknown'
  return new EmbeddedPostgresError(
    `Process ${pid} has held the lock of the embedded Postgres (${lockDir}) for ${PATIENCE_MS / 1000} s. Look at what that process does, end it if it hangs, and start again.`,
  )
}

function isCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code
}
