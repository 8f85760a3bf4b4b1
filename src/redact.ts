/**
 * The secrets that this process has decrypted, and how they are taken out of texts: log lines, errors, outputs. Fields
 * that are named like secrets are masked by the logger (log.ts); here it is the value that counts, wherever it stands.
 *
 * One set for the process: a value that one platform of it has decrypted must not appear in what another one writes.
 */
import { LRUCache } from 'lru-cache'

export const redacted = '[redacted]'

/** No provider has shorter ones; and a tenant that chose one must not find it in what others write. */
const shortest = 16
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
  for (const [start, end] of secretsIn(text)) {
    clean += text.slice(from, start) + redacted
    from = end
  }
  return from === 0 ? text : clean + text.slice(from)
}

/** Where they stand. Those that overlap, because one is a part of the other, are one. */
function secretsIn(text: string): [start: number, end: number][] {
  const found: [start: number, end: number][] = []
  for (let end = endLength; end <= text.length; end += 1) {
    const length = longestEndingAt(text, end)
    if (length === 0) continue
    let start = end - length
    while (found.length > 0 && found.at(-1)![1] > start) start = Math.min(start, found.pop()![0])
    found.push([start, end])
  }
  return found
}

function longestEndingAt(text: string, end: number): number {
  let longest = 0
  for (const secret of byEnd.get(text.slice(end - endLength, end)) ?? []) {
    const fits = secret.length > longest && secret.length <= end
    if (fits && text.startsWith(secret, end - secret.length)) longest = secret.length
  }
  return longest
}

/**
 * The same for a line of JSON, which stays one: a tenant may have chosen a secret that is found in its punctuation or in
 * a number.
 */
export function redactJson(line: string): string {
  const clean = redact(line)
  if (clean === line) return line
  try {
    return `${JSON.stringify(JSON.parse(line), redactStrings)}\n`
  } catch {
    return clean
  }
}

function redactStrings(_key: string, value: unknown): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, held]) => [redact(key), held]))
}

function endOf(secret: string): string {
  return secret.slice(-endLength)
}
