import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { decrypt, encrypt, keyIdOf } from '../../src/credentials/encryption.ts'
import { KeyRing } from '../../src/credentials/key-ring.ts'
import { KeyRings } from '../../src/credentials/key-rings.ts'
import { ConfigError, CredentialError, EncryptionKeyMissingError } from '../../src/errors.ts'
import { Secret } from '../../src/secret.ts'

const place = { tenantId: 'rawdog', service: 'stripe', key: 'secret_key' }
const [one, two] = [randomBytes(32), randomBytes(32)]

function ringOf(...keys: Buffer[]): KeyRing {
  return new KeyRing(new Secret(keys), 'INTEGRATION_ENCRYPTION_KEY')
}

describe('a value', () => {
  test.each(['sk_live_abc', '', 'ünïcödé 🔑', 'line\nbreak', 'x'.repeat(100_000)])(
    'comes back as it was: %.20j',
    (value) => {
      expect(decrypt(encrypt(value, place, ringOf(one)), place, ringOf(one))).toBe(value)
    },
  )

  test('reads differently each time, says with which key, and nothing of itself', () => {
    const texts = [encrypt('sk_live_abc', place, ringOf(one)), encrypt('sk_live_abc', place, ringOf(one))]
    expect(texts[0]).not.toBe(texts[1])
    expect(texts[0]).toMatch(/^v1\.[0-9a-f]{8}\.[\w-]+$/)
    expect(keyIdOf(texts[0]!, place)).toBe(ringOf(one).current.id)
    expect(Buffer.from(texts[0]!.split('.')[2]!, 'base64url').includes('sk_live')).toBe(false)
  })

  test('has a nonce of its own, however many there are', () => {
    const nonceOf = (text: string) =>
      Buffer.from(text.split('.')[2]!, 'base64url').subarray(0, 12).toString('hex')
    const nonces = Array.from({ length: 2_000 }, () => nonceOf(encrypt('v', place, ringOf(one))))
    expect(new Set(nonces).size).toBe(2_000)
  })

  test('is decrypted by every key of the ring, and encrypted by the first', () => {
    const old = encrypt('value', place, ringOf(one))
    const both = ringOf(two, one)
    expect(decrypt(old, place, both)).toBe('value')
    expect(keyIdOf(encrypt('value', place, both), place)).toBe(ringOf(two).current.id)
  })
})

describe('is refused:', () => {
  const text = encrypt('sk_live_abc', place, ringOf(one))
  const flipped = (at: number) => {
    const [version, id, sealed] = text.split('.') as [string, string, string]
    const bytes = Buffer.from(sealed, 'base64url')
    bytes[at]! ^= 1
    return `${version}.${id}.${bytes.toString('base64url')}`
  }
  const cases: [what: string, stored: string, from: typeof place, why: RegExp][] = [
    ['another tenant', text, { ...place, tenantId: 'acme' }, /copied from another tenant/],
    ['another service', text, { ...place, service: 'wise' }, /copied/],
    ['another key', text, { ...place, key: 'webhook_secret' }, /copied/],
    ['a changed nonce', flipped(0), place, /changed/],
    ['a changed tag', flipped(12), place, /changed/],
    ['a changed text', flipped(28), place, /changed/],
    ['a text that is cut off', text.slice(0, -4), place, /cut off/],
    ['a text that is cut off early', text.slice(0, 30), place, /cut off/],
    ['plain text', 'sk_live_abc', place, /not of the form/],
    ['nothing', '', place, /not of the form/],
    ['another version', text.replace('v1', 'v2'), place, /not of the form/],
    [
      'the id of another key',
      text.replace(/\.[0-9a-f]{8}\./, '.00000000.'),
      place,
      /key 00000000, which is not/,
    ],
  ]
  test.each(cases)('%s', (_, stored, from, why) => {
    const work = () => decrypt(stored, from, ringOf(one))
    expect(work).toThrow(CredentialError)
    expect(work).toThrow(why)
    expect(work).toThrow(`cgk credential:set ${from.tenantId} ${from.service} ${from.key}`)
    expect(work).not.toThrow(/sk_live/)
  })

  test('the id of a key that is there, over what another has encrypted', () => {
    const forged = text.replace(/\.[0-9a-f]{8}\./, `.${ringOf(two).current.id}.`)
    expect(() => decrypt(forged, place, ringOf(two, one))).toThrow(/changed/)
  })

  test('everything, without a key', () => {
    for (const work of [() => encrypt('v', place, ringOf()), () => decrypt(text, place, ringOf())]) {
      expect(work).toThrow(EncryptionKeyMissingError)
      expect(work).toThrow(/INTEGRATION_ENCRYPTION_KEY.*cgk credential:key/)
    }
  })
})

describe('keys', () => {
  const read = (encryptionKeys: string) => readConfig({ encryptionKeys }, {}).encryptionKeys.reveal()

  test('are base64, base64url or hex, one or several', () => {
    const texts = [one.toString('base64'), two.toString('hex'), one.toString('base64url')]
    expect(read(texts.join(','))).toEqual([one, two, one])
    expect(read(` ${texts[0]} ,\n${texts[1]}`)).toEqual([one, two])
    expect(read('')).toEqual([])
  })

  test.each([31, 33, 16, 64])('of %i bytes are refused, and not repeated', (bytes) => {
    const wrong = randomBytes(bytes).toString('base64')
    const work = () => read(`${one.toString('base64')},${wrong}`)
    expect(work).toThrow(ConfigError)
    expect(work).toThrow(new RegExp(`encryptionKeys: key 2 has ${bytes} bytes; a key has 32`))
    expect(work).not.toThrow(wrong)
  })

  test('of Shopify are their own', () => {
    const shopify = { ...place, service: 'shopify', key: 'access_token' }
    const config = readConfig({ encryptionKeys: one.toString('hex') }, {})
    expect(() => encrypt('v', shopify, new KeyRings(config).of('shopify'))).toThrow(
      /SHOPIFY_TOKEN_ENCRYPTION_KEY/,
    )
    const both = readConfig(
      { encryptionKeys: one.toString('hex') },
      { SHOPIFY_TOKEN_ENCRYPTION_KEY: two.toString('hex') },
    )
    const text = encrypt('v', shopify, new KeyRings(both).of('shopify'))
    expect(keyIdOf(text, shopify)).toBe(ringOf(two).current.id)
  })
})
