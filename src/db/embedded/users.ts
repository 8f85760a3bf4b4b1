/**
 * Who uses the cluster: one empty file per handle, named after its process. The last living user stops Postgres; a
 * process that was killed leaves its file behind, and the next reader removes it. Called under the lock only.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isLiving, markOfThisProcess } from './living-process.ts'

/** Answers the file to hand to `removeUser`. One process may be several users. */
export async function addUser(usersDir: string): Promise<string> {
  await mkdir(usersDir, { recursive: true })
  const file = join(usersDir, `${markOfThisProcess()}.${randomBytes(6).toString('hex')}`)
  await writeFile(file, '')
  return file
}

/** True when nobody living is left. */
export async function removeUser(usersDir: string, file: string): Promise<boolean> {
  await rm(file, { force: true })
  const names = await readdir(usersDir).catch(() => [])
  const dead = names.filter((name) => !isLiving(markIn(name)))
  await Promise.all(dead.map((name) => rm(join(usersDir, name), { force: true })))
  return dead.length === names.length
}

function markIn(name: string): string {
  return name.split('.').slice(0, 2).join('.')
}
