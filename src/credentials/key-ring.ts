/** The keys that encrypt credentials: the first encrypts, all decrypt. A key is told by its id, which is no secret. */
import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { EncryptionKeyMissingError } from '../errors.ts'
import type { Secret } from '../secret.ts'

export interface Key {
  /** Eight hex digits of the key's hash: it is in every text that the key has encrypted. */
  readonly id: string
  readonly secret: KeyObject
}

export class KeyRing {
  readonly #keys: ReadonlyMap<string, Key>
  readonly #variable: string

  /** `variable` is where a person sets the keys. */
  constructor(keys: Secret<readonly Buffer[]>, variable: string) {
    this.#keys = new Map(keys.reveal().map((bytes) => [keyId(bytes), toKey(bytes)]))
    this.#variable = variable
  }

  /** The key that encrypts. @throws EncryptionKeyMissingError */
  get current(): Key {
    for (const key of this.#keys.values()) return key
    throw new EncryptionKeyMissingError(this.#variable)
  }

  /** @throws EncryptionKeyMissingError when there is no key at all. */
  find(id: string): Key | undefined {
    if (this.#keys.size === 0) throw new EncryptionKeyMissingError(this.#variable)
    return this.#keys.get(id)
  }

  /** The first is that of the current key. */
  get ids(): readonly string[] {
    return [...this.#keys.keys()]
  }

  get variable(): string {
    return this.#variable
  }
}

function toKey(bytes: Buffer): Key {
  return { id: keyId(bytes), secret: createSecretKey(bytes) }
}

function keyId(bytes: Buffer): string {
  return createHash('sha256').update('cgk key id').update(bytes).digest('hex').slice(0, 8)
}
