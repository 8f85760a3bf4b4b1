/** A password that is to be set: typed twice without being shown, or read from stdin. */
import type { Command } from 'commander'
import { askHidden, readStdin } from './hidden-value.ts'

export async function readNewPassword(command: Command, fromStdin: true | undefined): Promise<string> {
  if (fromStdin) return await readStdin()
  if (!process.stdin.isTTY) {
    command.error('error: nobody can type here; give the password with --password-stdin')
  }
  const password = await askHidden('Password')
  if ((await askHidden('The same once more')) !== password) {
    command.error('error: these were two different passwords')
  }
  return password
}
