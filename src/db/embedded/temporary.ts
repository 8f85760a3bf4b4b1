/**
 * A throwaway Postgres for tests: in a folder under the system's temp folder, gone with `stop()` or with the process.
 * The folder's name carries the mark of its process, so the next run can tell and delete what a killed run left.
 */
import { lstatSync, readdirSync, realpathSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { layout } from './folder.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './index.ts'
import { isLiving, markOfThisProcess } from './living-process.ts'
import { killPostmaster, stopPostmaster } from './postmaster.ts'

const PREFIX = 'cgk-test-postgres.'

/** Not durable; its login may create databases. */
export async function startTemporaryPostgres(): Promise<EmbeddedPostgres> {
  await sweepDeadRuns()
  const dataDir = await mkdtemp(join(realpathSync(tmpdir()), `${PREFIX}${markOfThisProcess()}.`))
  const discard = () => discardNow(dataDir)
  process.once('exit', discard)
  const remove = async () => {
    process.removeListener('exit', discard)
    await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    const server = await startEmbeddedPostgres({ dataDir, durable: false, createDatabases: true })
    return { ...server, stop: () => server.stop().then(remove) }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Stops and deletes the clusters whose process is dead. Only our own folders: the temp folder is shared. */
async function sweepDeadRuns(): Promise<void> {
  const temp = realpathSync(tmpdir())
  for (const name of readdirSync(temp)) {
    const path = join(temp, name)
    if (!name.startsWith(PREFIX) || isLiving(markIn(name)) || !isOwnFolder(path)) continue
    await sweep(path).catch(() => {}) // What resists is no reason not to start.
  }
}

async function sweep(dataDir: string): Promise<void> {
  await stopPostmaster(layout(dataDir), 'SIGQUIT')
  await rm(dataDir, { recursive: true, force: true, maxRetries: 3 })
}

function markIn(name: string): string {
  return name.slice(PREFIX.length).split('.').slice(0, 2).join('.')
}

function isOwnFolder(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && found.uid === process.getuid?.()
}

function discardNow(dataDir: string): void {
  killPostmaster(layout(dataDir))
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 3 })
}
