/** Names and what they are, one below the other; what is empty is left out, and what has several lines hangs. */
import { plain } from './table.ts'

export function formatFields(fields: Record<string, string>): string {
  const given = Object.entries(fields).filter(([, text]) => text !== '')
  const indent = Math.max(...given.map(([name]) => name.length)) + 2
  return given.map(([name, text]) => name.padEnd(indent) + hanging(text, indent)).join('\n')
}

function hanging(text: string, indent: number): string {
  return text
    .split('\n')
    .map(plain)
    .join(`\n${' '.repeat(indent)}`)
}
