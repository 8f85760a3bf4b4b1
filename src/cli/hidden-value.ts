/**
 * A secret that somebody types, at a hidden prompt or into stdin: never on the command line, which other users of the
 * machine and the shell's history see.
 */
import { text } from 'node:stream/consumers'

export async function askHidden(what: string): Promise<string> {
  const { default: password } = await import('@inquirer/password')
  return await password({ message: what, toggleMask: false }, { output: process.stderr })
}

/** Without the line break that `echo` and editors put at its end. */
export async function readStdin(): Promise<string> {
  return (await text(process.stdin)).replace(/\r?\n$/, '')
}
