/**
 * Credentials as they are stored: AES-256-GCM with a random nonce, as `v1.<key id>.<base64url of nonce, tag, text>`.
 *
 * The additional data binds tenant, service and credential key, so a text that is copied to another row, service or
 * tenant does not decrypt. 96-bit random nonces are safe for far more values than a key ever encrypts (2^32).
 */
import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto'
import { CredentialError } from '../errors.ts'
import type { Key, KeyRing } from './key-ring.ts'

/** Whose credential it is, and which. */
export interface CredentialPlace {
  tenantId: string
  service: string
  key: string
}

const version = 'v1'
const algorithm = 'aes-256-gcm'
const nonceBytes = 12
const tagBytes = 16

export function encrypt(value: string, place: CredentialPlace, ring: KeyRing): string {
  const key = ring.current
  const nonce = takeNonce()
  const cipher = createCipheriv(algorithm, key.secret, nonce, { authTagLength: tagBytes })
  cipher.setAAD(boundTo(place, key))
  const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
  return `${version}.${key.id}.${Buffer.concat([nonce, cipher.getAuthTag(), text]).toString('base64url')}`
}

/** @throws CredentialError that says what is wrong with the text, and never what is in it. */
export function decrypt(stored: string, place: CredentialPlace, ring: KeyRing): string {
  const { keyId, sealed } = parse(stored, place)
  const key = ring.find(keyId)
  if (!key) {
    throw unreadable(
      place,
      `it was encrypted with key ${keyId}, which is not among the keys of ${ring.variable}`,
    )
  }
  const decipher = createDecipheriv(algorithm, key.secret, sealed.subarray(0, nonceBytes), {
    authTagLength: tagBytes,
  })
  decipher.setAAD(boundTo(place, key))
  decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes))
  try {
    return decipher.update(sealed.subarray(nonceBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8')
  } catch (error) {
    throw unreadable(place, 'it was changed, cut off, or copied from another tenant, service or key', error)
  }
}

/** The id of the key that encrypted the text. @throws CredentialError */
export function keyIdOf(stored: string, place: CredentialPlace): string {
  return parse(stored, place).keyId
}

const form = /^v1\.([0-9a-f]{8})\.([A-Za-z0-9_-]+)$/

function parse(stored: string, place: CredentialPlace): { keyId: string; sealed: Buffer } {
  const [, keyId, text] = form.exec(stored) ?? []
  if (!keyId || !text) throw unreadable(place, `it is not of the form ${version}.<key id>.<text>`)
  const sealed = Buffer.from(text, 'base64url')
  if (sealed.length < nonceBytes + tagBytes) throw unreadable(place, 'it is cut off')
  return { keyId, sealed }
}

/** Asking the system for twelve bytes costs as much as encrypting with them, so it is asked for many at once. */
const nonces = Buffer.alloc(nonceBytes * 512)
let nextNonce = nonces.length

/** Each is given out once. */
function takeNonce(): Buffer {
  if (nextNonce === nonces.length) {
    randomFillSync(nonces)
    nextNonce = 0
  }
  nextNonce += nonceBytes
  return Buffer.from(nonces.subarray(nextNonce - nonceBytes, nextNonce))
}

/** JSON, so that no two places read alike. */
function boundTo({ tenantId, service, key }: CredentialPlace, { id }: Key): Buffer {
  return Buffer.from(JSON.stringify([version, id, tenantId, service, key]))
}

function unreadable(
  { tenantId, service, key }: CredentialPlace,
  why: string,
  cause?: unknown,
): CredentialError {
  return new CredentialError(
    `The credential ${service} ${key} of tenant "${tenantId}" cannot be decrypted: ${why}. Set it again with: cgk credential:set ${tenantId} ${service} ${key}`,
    { cause },
  )
}
