/**
 * The passwords of the superuser and of the login, made once per cluster. They stay in a file only its owner can read,
 * because `trust` on a TCP port would let every local user in.
 */
import { randomBytes } from 'node:crypto'
import { readFile, rename, stat, writeFile } from 'node:fs/promises'
import { EmbeddedPostgresError } from '../../errors.ts'
import type { Folder } from './folder.ts'

export interface Passwords {
  postgres: string
  jobs: string
}

/** Called under the lock. */
export async function readOrMakePasswords(folder: Folder): Promise<Passwords> {
  try {
    return JSON.parse(await readFile(folder.passwords, 'utf8')) as Passwords
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    if (!isMissing || (await stat(folder.data).catch(() => undefined))) throw unreadable(folder, error)
    return makePasswords(folder.passwords)
  }
}

async function makePasswords(path: string): Promise<Passwords> {
  const passwords = { postgres: newPassword(), jobs: newPassword() }
  await writeFile(`${path}.new`, JSON.stringify(passwords), { mode: 0o600 })
  await rename(`${path}.new`, path)
  return passwords
}

// base64url needs no quoting, neither in SQL nor in a URL.
function newPassword(): string {
  return randomBytes(24).toString('base64url')
}

function unreadable(folder: Folder, cause: unknown): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `The passwords of the embedded Postgres cannot be read from ${folder.passwords}: ${(cause as Error).message}. Start as the user who made the cluster, restore the file, or move ${folder.path} away to start empty.`,
    { cause },
  )
}
