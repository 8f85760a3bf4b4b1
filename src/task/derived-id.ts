/** Ids that follow from what asks for a run, so that asking again is asking for the same one. */
import { createHash } from 'node:crypto'

/** A UUID of version 8, which is free for what its maker puts into it: here, a hash. */
export function derivedRunId(parts: readonly string[]): string {
  const bytes = hashOf(parts).subarray(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x80
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

export function hashOf(parts: readonly string[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest()
}
