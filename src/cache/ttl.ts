/** How long an entry lives. */
import ms, { type StringValue } from 'ms'
import { InvalidCacheTtlError } from '../errors.ts'

/** '30s', '5m', '1d', or milliseconds. */
export type Ttl = StringValue | number

/** What is to last longer than 30 days is no cache. */
const longestMs = 30 * 86_400_000

/** Whole milliseconds. @throws InvalidCacheTtlError */
export function parseTtl(ttl: unknown): number {
  const isText = typeof ttl === 'string' && ttl !== '' && ttl.length <= 100
  const parsed: unknown = isText ? ms(ttl as StringValue) : ttl
  if (typeof parsed !== 'number' || !(parsed >= 1 && parsed <= longestMs)) throw new InvalidCacheTtlError()
  return Math.round(parsed)
}
