/**
 * Makes the data folder with initdb. A half-made data folder can start and then lack its databases, so initdb works in
 * a folder beside it, and a rename makes the finished one appear in one step.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { EmbeddedPostgresError } from '../../errors.ts'
import { type Account, asAccount } from './account.ts'
import type { PostgresBinaries } from './binaries.ts'
import type { Folder } from './folder.ts'

const run = promisify(execFile)

export interface ClusterPlan {
  binaries: PostgresBinaries
  folder: Folder
  account: Account
  durable: boolean
}

/** Called under the lock. */
export async function makeClusterOnce(plan: ClusterPlan, superuserPassword: string): Promise<void> {
  const { folder, binaries } = plan
  if (await stat(folder.data).catch(() => undefined)) return checkVersion(folder.data, binaries.major)

  await removeAbandoned(folder.path)
  const side = join(folder.path, `making.${randomBytes(6).toString('hex')}`)
  await mkdir(side, { mode: 0o700 })
  try {
    await initdb(plan, side, superuserPassword)
    await rename(join(side, 'data'), folder.data)
  } finally {
    await rm(side, { recursive: true, force: true })
  }
}

async function checkVersion(dataDir: string, major: number): Promise<void> {
  const made = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8').catch(() => 'unknown')).trim()
  if (made === String(major)) return
  throw new EmbeddedPostgresError(
    `The data in ${dataDir} was made by Postgres ${made}, and the installed binaries are Postgres ${major}, which cannot read it. Install the binaries of ${made} and export the data, or move the folder away to start empty.`,
  )
}

async function initdb(
  { binaries, account, durable }: ClusterPlan,
  side: string,
  password: string,
): Promise<void> {
  const passwordFile = join(side, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (account.user) {
    for (const path of [side, passwordFile]) await chown(path, account.user.uid, account.user.gid)
  }
  const { command, args, options } = asAccount(account, binaries.initdb, [
    `--pgdata=${join(side, 'data')}`,
    `--pwfile=${passwordFile}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    // macOS has no libc locale of that name.
    process.platform === 'linux' ? '--locale=C.UTF-8' : '--locale=C',
    ...(durable ? [] : ['--no-sync']),
  ])
  await run(command, args, options).catch((error: Error & { stdout?: string; stderr?: string }) => {
    throw initdbFailed(error)
  })
}

function initdbFailed(
  error: Error & { code?: unknown; stdout?: string; stderr?: string },
): EmbeddedPostgresError {
  if (error.code === 'ENOENT') {
    return new EmbeddedPostgresError(
      'initdb cannot be executed. The embedded Postgres needs a Linux with glibc (Alpine has musl) or macOS; elsewhere set DATABASE_URL to a Postgres server of your own.',
      { cause: error },
    )
  }
  const output = `${error.stdout ?? ''}\n${error.stderr ?? ''}`.trim().split('\n').slice(-15).join('\n')
  return new EmbeddedPostgresError(
    `initdb could not make the database cluster. Mend what it says (a full disk, a missing library) and start again, or set DATABASE_URL:\n${output || error.message}`,
    { cause: error },
  )
}

/** What killed processes left. An initdb that outlived its parent loses its folder, fails, and harms nobody. */
async function removeAbandoned(folder: string): Promise<void> {
  const abandoned = (await readdir(folder)).filter((name) => name.startsWith('making.'))
  await Promise.all(
    abandoned.map((name) => rm(join(folder, name), { recursive: true, force: true }).catch(() => {})),
  )
}
