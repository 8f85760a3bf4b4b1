/** Text from outside, fit to be kept: without secrets, without what Postgres cannot store, and no longer than it may be. */
import { redact } from './redact.ts'

export function cleanText(text: string, maxLength: number): string {
  // Before anything is cut: half a secret would not be known for one.
  const clean = redact(text)
  const cut = clean.length > maxLength ? `${clean.slice(0, maxLength)}…` : clean
  return isStorable(cut) ? cut : cut.replaceAll('\0', '\u{FFFD}').toWellFormed()
}

function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
