/**
 * The secrets that let in whoever has them: of sessions, keys and invitations. 256 random bits need no salt and no slow
 * hash; SHA-256 is all that is stored.
 */
import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'

const secretBytes = 32

/** 43 characters that need no quoting in a cookie or a URL. */
export function newToken(): string {
  return randomBytes(secretBytes).toString('base64url')
}

export function isToken(text: string): boolean {
  return /^[\w-]{43}$/.test(text)
}

export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex')
}

const keyStart = 'cgk_live_'
/** Enough of the key to tell it from others, and nothing to guess the rest by. */
const prefixLength = keyStart.length + 8

/**
 * `cgk_live_`, 64 hex digits, and 8 more that are their CRC-32: scanners of repositories recognise one, and one that
 * was cut off or made up is refused without asking the database.
 */
export function newKey(): string {
  const secret = randomBytes(secretBytes).toString('hex')
  return `${keyStart}${secret}${checksum(secret)}`
}

export function isKey(text: string): boolean {
  const [, secret, sum] = /^cgk_live_([0-9a-f]{64})([0-9a-f]{8})$/.exec(text) ?? []
  return secret !== undefined && checksum(secret) === sum
}

export function keyPrefix(key: string): string {
  return key.slice(0, prefixLength)
}

export function isKeyPrefix(text: string): boolean {
  return /^cgk_live_[0-9a-f]{8}$/.test(text)
}

function checksum(secret: string): string {
  return crc32(secret).toString(16).padStart(8, '0')
}
