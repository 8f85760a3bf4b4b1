/**
 * The embedded Postgres: a real server from an npm package, so that the platform starts on an empty machine. It belongs
 * to a folder, not to a process: whoever starts on the same folder joins the same server, a server that outlived its
 * process is adopted, and the last living user stops it.
 *
 * The story, in order: find the binaries; choose the account; under the folder's lock make the cluster if there is
 * none, adopt or start the server, sign in as a user, and make the login and its database if they are missing. From then
 * on until it leaves, every user watches the server and brings it back when it ends.
 */
import { chooseAccount } from './account.ts'
import { findBinaries } from './binaries.ts'
import { type ClusterPlan, makeClusterOnce } from './cluster.ts'
import { type Folder, openFolder } from './folder.ts'
import { withLock } from './lock.ts'
import { makeLoginOnce } from './login.ts'
import { readOrMakePasswords } from './passwords.ts'
import { runPostmaster, stopPostmaster, untilGone } from './postmaster.ts'
import { addUser, removeUser } from './users.ts'
import { Watch } from './watch.ts'

const DYING_MS = 2_000

export interface EmbeddedPostgresOptions {
  /** The folder of the server: data, log, passwords, lock. Made when missing; nothing else may live in it. */
  dataDir: string
  /** False turns off every sync to disk, for tests. Default true. */
  durable?: boolean
  /** More server settings (`name: value`); used by the process that starts the server, not by those who join it. */
  settings?: Record<string, string>
  /** The login may create databases. Default false. */
  createDatabases?: boolean
  /** False leaves the server down when it ends under this process, for tests of an outage. Default true. */
  watch?: boolean
}

export interface EmbeddedPostgres {
  /** The login `jobs`, no superuser, on its own database `jobs`. */
  url: string
  /** The superuser `postgres` on the database `postgres`. */
  adminUrl: string
  /** The server was running already: another process uses it, or its last user was killed. */
  joined: boolean
  /** Leaves the server; the last living user shuts it down. Calling it again is harmless. */
  stop(): Promise<void>
}

/** @throws EmbeddedPostgresError that says what to do: platform, package, account, disk, port, version. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir, durable = true } = options
  const binaries = await findBinaries()
  const folder = await openFolder(dataDir)
  return withLock(folder.lock, async () => {
    const account = await chooseAccount(binaries.postgres, folder.path, folder.data)
    return startUnderLock({ binaries, folder, account, durable }, options)
  })
}

async function startUnderLock(
  plan: ClusterPlan,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { settings = {}, createDatabases = false, watch: isWatched = true } = options
  const { folder } = plan
  const passwords = await readOrMakePasswords(folder)
  await makeClusterOnce(plan, passwords.postgres)
  const { postmaster, joined } = await runPostmaster(plan, settings)
  const user = await addUser(folder.users)
  const adminUrl = `postgres://postgres:${passwords.postgres}@127.0.0.1:${postmaster.port}/postgres`
  const url = `postgres://jobs:${passwords.jobs}@127.0.0.1:${postmaster.port}/jobs`
  try {
    await makeLoginOnce(adminUrl, passwords.jobs, createDatabases)
  } catch (error) {
    // A killed process is seen living for some milliseconds: we had joined a server that was ending.
    const hadEnded = joined && (await untilGone(postmaster.pid, DYING_MS))
    await leave(folder, user)
    if (hadEnded) return startUnderLock(plan, options)
    throw error
  }
  const watch = isWatched ? new Watch(plan, settings, user, postmaster) : undefined
  const leaveForGood = async () => {
    await watch?.stop()
    await withLock(folder.lock, () => leave(folder, user))
  }
  let left: Promise<void> | undefined
  const stop = () => {
    left ??= leaveForGood()
    return left
  }
  return { url, adminUrl, joined, stop }
}

/** Called under the lock. */
async function leave(folder: Folder, user: string): Promise<void> {
  if (await removeUser(folder.users, user)) await stopPostmaster(folder)
}
