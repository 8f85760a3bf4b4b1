import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { decrypt, encrypt } from '../../src/credentials/encryption.ts'
import { setCredential } from '../../src/services/set-credential.ts'
import { RunServices } from '../../src/task/services.ts'
import type { Benchmark } from './measure.ts'
import { makePlatform, makeTenants } from './platform.ts'

const values = 20_000
const lookups = 100_000
const place = { tenantId: 'rawdog', service: 'stripe', key: 'secret_key' }
const secret = `sk_live_${randomBytes(48).toString('base64url')}`

const unit = 'µs'

export const encryption: Benchmark = {
  name: 'encryption',
  question: 'a credential encrypted and decrypted, against the bare cipher',
  unit,
  targets: [{ ours: 'encrypt + decrypt', theirs: 'the bare AES-256-GCM' }],
  limits: [{ side: 'encrypt + decrypt', atMost: 20 }],
  async prepare(databaseUrl) {
    const platform = makePlatform({ databaseUrl, encryptionKeys: randomBytes(32).toString('base64') })
    const ring = platform.keys.of('stripe')
    const key = randomBytes(32)
    return {
      sides: {
        'encrypt + decrypt': () =>
          microseconds(values, () => decrypt(encrypt(secret, place, ring), place, ring)),
        'the bare AES-256-GCM': () => microseconds(values, () => bare(key)),
      },
      close: () => platform.close(),
    }
  },
}

export const clientLookup: Benchmark = {
  name: 'client-lookup',
  question: 'what a cached client adds to a run: its hold looked at, its client found',
  unit,
  targets: [],
  limits: [{ side: 'open a run with one service', atMost: 10 }],
  async prepare(databaseUrl) {
    const platform = makePlatform({ databaseUrl, encryptionKeys: randomBytes(32).toString('base64') })
    const slugs = await makeTenants(platform, 20)
    const { database, clients, holds } = await platform.ready()
    const deps = { database, keys: platform.keys }
    for (const slug of slugs) await setCredential(deps, slug, 'stripe', { secret_key: `sk_test_${slug}` })
    const open = (index: number) =>
      new RunServices({ clients, holds }, slugs[index % slugs.length]!).open(['stripe'])
    return {
      sides: { 'open a run with one service': () => microseconds(lookups, open) },
      close: () => platform.close(),
    }
  },
}

async function microseconds(times: number, work: (index: number) => unknown): Promise<number> {
  const startedAt = performance.now()
  for (let index = 0; index < times; index += 1) await work(index)
  return ((performance.now() - startedAt) * 1_000) / times
}

function bare(key: Buffer): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const text = Buffer.concat([cipher.update(secret, 'utf8'), cipher.final()])
  const decipher = createDecipheriv('aes-256-gcm', key, nonce)
  decipher.setAuthTag(cipher.getAuthTag())
  return decipher.update(text, undefined, 'utf8') + decipher.final('utf8')
}
