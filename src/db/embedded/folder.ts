/** The folder of one embedded Postgres: what lies where, and who may enter. */
import { chmod, mkdir, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { EmbeddedPostgresError } from '../../errors.ts'

export interface Folder {
  path: string
  /** PGDATA; belongs to the account Postgres runs as. */
  data: string
  log: string
  lock: string
  passwords: string
  users: string
}

export async function openFolder(path: string): Promise<Folder> {
  try {
    await mkdir(path, { recursive: true })
    // Root's Postgres runs as another user, who must be able to pass through, but not to list.
    await chmod(path, process.getuid?.() === 0 ? 0o711 : 0o700)
    const real = await realpath(path)
    await refuseBareDataFolder(real)
    return layout(real)
  } catch (error) {
    if (error instanceof EmbeddedPostgresError) throw error
    throw new EmbeddedPostgresError(
      `The folder ${resolve(path)} for the embedded Postgres cannot be used: ${(error as Error).message}. Choose a folder that belongs to this user and can be written.`,
      { cause: error },
    )
  }
}

export function layout(path: string): Folder {
  return {
    path,
    data: join(path, 'data'),
    log: join(path, 'postgres.log'),
    lock: join(path, 'lock'),
    passwords: join(path, 'passwords.json'),
    users: join(path, 'users'),
  }
}

async function refuseBareDataFolder(path: string): Promise<void> {
  const found = await stat(join(path, 'PG_VERSION')).catch(() => undefined)
  if (!found) return
  throw new EmbeddedPostgresError(
    `${path} is the data folder of a Postgres server that this platform did not make. Choose another folder.`,
  )
}
