/** Which keys encrypt which credentials: Shopify's have keys of their own. */
import type { Config } from '../config.ts'
import { KeyRing } from './key-ring.ts'

export class KeyRings {
  readonly #shopify: KeyRing
  readonly #others: KeyRing

  constructor(config: Pick<Config, 'encryptionKeys' | 'shopifyEncryptionKeys'>) {
    this.#shopify = new KeyRing(config.shopifyEncryptionKeys, 'SHOPIFY_TOKEN_ENCRYPTION_KEY')
    this.#others = new KeyRing(config.encryptionKeys, 'INTEGRATION_ENCRYPTION_KEY')
  }

  all(): readonly KeyRing[] {
    return [this.#others, this.#shopify]
  }

  of(service: string): KeyRing {
    return service === 'shopify' ? this.#shopify : this.#others
  }
}
