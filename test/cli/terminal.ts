/** The real `cgk` at a terminal, and somebody who types. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Environment } from './cgk.ts'

/** Each answer is typed once its question has been asked. */
export async function cgkAtTerminal(
  args: readonly string[],
  env: Environment,
  answers: readonly (readonly [question: string, typed: string])[],
): Promise<{ code: number | null; shown: string }> {
  const words = [process.execPath, 'src/cli/cgk.ts', ...args].map(
    (word) => `'${word.replaceAll("'", `'\\''`)}'`,
  )
  // `script` gives the command a terminal.
  const child = spawn('script', ['-qec', words.join(' '), '/dev/null'], { env: { ...process.env, ...env } })
  const waiting = [...answers]
  let shown = ''
  let unread = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
    unread += text
    const [question, typed] = waiting[0] ?? []
    if (question === undefined || !unread.includes(question)) return
    waiting.shift()
    unread = ''
    // The prompt listens once it has been drawn.
    setTimeout(() => child.stdin.write(typed!), 300)
  })
  const [code] = await once(child, 'close')
  return { code: code as number | null, shown }
}
