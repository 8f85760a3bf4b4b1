/** What can be kept in a cache: JSON, so that what comes out is what went in. */
import { InvalidCacheValueError } from '../errors.ts'

const maxBytes = 1024 * 1024

/** @throws InvalidCacheValueError, which says where the value is no JSON, or that it is too large. */
export function encodeValue(value: unknown): string {
  const problem = findProblem(value, 'the value', new Set())
  if (problem !== null) throw new InvalidCacheValueError(problem)
  const text = JSON.stringify(value)
  const bytes = Buffer.byteLength(text)
  if (bytes <= maxBytes) return text
  throw new InvalidCacheValueError(
    `the value has ${bytes} bytes as JSON, and at most ${maxBytes} are kept; larger things belong in a table or an object store`,
  )
}

export function decodeValue(text: string): unknown {
  return JSON.parse(text)
}

/** Properties that are undefined are left out, as JSON does. */
function findProblem(value: unknown, at: string, above: Set<object>): string | null {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return null
  if (typeof value === 'number') return Number.isFinite(value) ? null : `${at} is ${value}`
  if (typeof value !== 'object') return `${at} is ${article(typeof value)}`
  if (above.has(value)) return `${at} holds itself`
  if (above.size >= deepest) return `${at} lies more than ${deepest} levels deep`
  if (!Array.isArray(value) && !isPlain(value))
    return `${at} is ${article(value.constructor?.name || 'object')}`
  const entries: [string, unknown][] = Array.isArray(value)
    ? Array.from(value, (item, index) => [`[${index}]`, item])
    : Object.entries(value)
        .filter(([, held]) => held !== undefined)
        .map(([name, held]) => [`.${name}`, held])
  above.add(value)
  for (const [name, held] of entries) {
    const problem = findProblem(held, `${at}${name}`, above)
    if (problem !== null) return problem
  }
  above.delete(value)
  return null
}

const deepest = 200

/** A class has something that JSON does not keep, and a `toJSON` makes something else of it. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && !('toJSON' in value)
}

function article(noun: string): string {
  if (noun === 'undefined') return noun
  return `${/^[aeiou]/i.test(noun) ? 'an' : 'a'} ${noun}`
}
