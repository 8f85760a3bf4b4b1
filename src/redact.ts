/**
 * The secrets that this process has decrypted, and how they are taken out of texts: log lines, errors, outputs. Fields
 * that are named like secrets are masked by the logger (log.ts); here it is the value that counts, wherever it stands.
 *
 * One set for the process: a value that one platform of it has decrypted must not appear in what another one writes.
 */
import { LRUCache } from 'lru-cache'

export const redacted = '[redacted]'

/** Shorter ones are no secrets worth the name, and would be found in ordinary words. */
const shortest = 8
/** How much of a secret's end it is looked up by. Its start will not do: they all begin with sk_live_. */
const endLength = 6
/** More than there are clients (services/clients.ts), for values live on in runs after their client has gone. */
const remembered = 20_000

/** By their ends. Ends of different secrets differ, but for chance. */
const byEnd = new Map<string, Set<string>>()

const known = new LRUCache<string, true>({
  max: remembered,
  dispose: (_, secret) => {
    const same = byEnd.get(endOf(secret))
    same?.delete(secret)
    if (same?.size === 0) byEnd.delete(endOf(secret))
  },
})

/** From now on the value is taken out of whatever is redacted. */
export function rememberSecret(secret: string): void {
  // As it stands in JSON, too: a private key has line breaks, which are written as \n there.
  for (const text of new Set([secret, JSON.stringify(secret).slice(1, -1)])) {
    if (text.length < shortest) continue
    known.set(text, true)
    const end = endOf(text)
    byEnd.set(end, (byEnd.get(end) ?? new Set()).add(text))
  }
}

/** The text without any known secret. One pass, whatever the number of secrets. */
export function redact(text: string): string {
  if (byEnd.size === 0 || text.length < shortest) return text
  let clean = ''
  let from = 0
  for (let end = endLength; end <= text.length; end += 1) {
    const secret = endsHere(text, from, end)
    if (secret === undefined) continue
    clean += text.slice(from, end - secret.length) + redacted
    from = end
  }
  return from === 0 ? text : clean + text.slice(from)
}

function endsHere(text: string, from: number, end: number): string | undefined {
  const candidates = byEnd.get(text.slice(end - endLength, end))
  if (!candidates) return undefined
  for (const secret of candidates) {
    if (end - secret.length >= from && text.startsWith(secret, end - secret.length)) return secret
  }
  return undefined
}

function endOf(secret: string): string {
  return secret.slice(-endLength)
}
