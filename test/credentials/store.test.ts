import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { decrypt, encrypt } from '../../src/credentials/encryption.ts'
import { KeyRings } from '../../src/credentials/key-rings.ts'
import { rotateCredentials } from '../../src/credentials/rotate.ts'
import { readCredentialRows } from '../../src/credentials/rows.ts'
import {
  createTenant,
  decryptCredential,
  deleteCredential,
  deleteTenant,
  encryptCredential,
  getTenantMuxClient,
  getTenantStripeClient,
  listCredentials,
  requireTenantMuxClient,
  setCredential,
  sql,
  suspendTenant,
  verifyCredential,
  withTenant,
} from '../../src/default-platform.ts'
import {
  CredentialError,
  InvalidCredentialError,
  InvalidTenantSlugError,
  ServiceNotConfiguredError,
  UnknownServiceError,
  UnknownTenantError,
} from '../../src/errors.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { Turnstile } from '../fixtures/providers/turnstile.ts'

const encryptionKeys = randomBytes(32).toString('base64')
let kit: TestPlatform
let turnstile: Turnstile
let tenantId: string

beforeAll(async () => {
  turnstile = await new Turnstile().listen()
  kit = await createTestPlatform({
    encryptionKeys,
    services: { mux: { baseUrl: turnstile.url, timeoutMs: 3_000 } },
  })
})
beforeEach(async () => {
  tenantId = await kit.tenant()
  turnstile.calm()
  turnstile.requests.splice(0)
})
afterAll(async () => {
  await kit.close()
  await turnstile.close()
})

const stored = async () => await readCredentialRows((await kit.platform.ready()).database, tenantId)
const mux = (token_secret: string) => ({ token_id: 'token-of-the-test', token_secret })

describe('setting', () => {
  test('stores what only this place decrypts, and shows its end at most', async () => {
    await setCredential(tenantId, 'mux', { ...mux('secret-1234-abcd'), webhook_secret: 'short-one' })
    const [id, secret] = await stored()
    expect(secret!.encrypted).not.toContain('secret-1234')
    const place = { tenantId, service: 'mux', key: 'token_secret' }
    expect(decryptCredential(secret!.encrypted, place)).toBe('secret-1234-abcd')
    expect(() => decryptCredential(id!.encrypted, place)).toThrow(CredentialError)
    expect(decryptCredential(encryptCredential('v', place), place)).toBe('v')
    expect(await listCredentials(tenantId)).toMatchObject([
      { service: 'mux', key: 'token_id', lastFour: 'test', status: 'active', lastVerifiedAt: null },
      { key: 'token_secret', lastFour: 'abcd', lastError: null },
      { key: 'webhook_secret', lastFour: null },
    ])
    expect(JSON.stringify(await listCredentials(tenantId))).not.toMatch(/secret-1234|v1\./)
  })

  test('replaces what is there and leaves the rest; a pasted value loses its white space', async () => {
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    await setCredential(tenantId, 'mux', { token_secret: '  secret-5678-efgh\n' })
    expect((await listCredentials(tenantId)).map(({ lastFour }) => lastFour)).toEqual(['test', 'efgh'])
  })

  test('works for a suspended tenant: somebody may be mending it', async () => {
    await suspendTenant(tenantId)
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    expect(await listCredentials(tenantId)).toHaveLength(2)
  })

  const refusals: [what: string, service: string, values: unknown, error: RegExp][] = [
    [
      'no key of the service',
      'mux',
      { api_key: 'hush-hush-hush' },
      /Mux has no credential "api_key"\. It has: token_id/,
    ],
    ['nothing', 'mux', {}, /Give the credentials as an object/],
    ['a text', 'mux', 'hush-hush-hush', /as an object/],
    ['an empty value', 'mux', { token_secret: ' \n' }, /token_secret for Mux is empty/],
    ['a value that is no text', 'mux', { token_secret: 5 }, /is empty/],
    ['a control character', 'mux', { token_secret: 'hush\0hush' }, /control characters/],
    ['a value that is too long', 'mux', { token_secret: 'hush'.repeat(5_000) }, /longer than/],
    ['a value that cannot be one', 'stripe', { secret_key: 'hush-hush-hush' }, /does not look like one/],
    ['a name of the prototype', 'mux', { constructor: 'hush-hush-hush' }, /has no credential/],
  ]
  test.each(refusals)(
    'refuses %s, stores nothing and repeats no value',
    async (_, service, values, message) => {
      const error = await setCredential(tenantId, service as 'mux', values as Record<string, string>).catch(
        (e) => e,
      )
      expect(error).toBeInstanceOf(InvalidCredentialError)
      expect(error.message).toMatch(message)
      expect(error.message).not.toContain('hush')
      expect(await stored()).toEqual([])
    },
  )

  test('refuses all when one is wrong', async () => {
    await expect(setCredential(tenantId, 'mux', { token_id: 'fine-value', nonsense: 'x' })).rejects.toThrow()
    expect(await stored()).toEqual([])
  })

  test('refuses services and tenants that are not there', async () => {
    await expect(setCredential(tenantId, 'paypal' as 'mux', { a: 'b' })).rejects.toThrow(UnknownServiceError)
    await expect(setCredential('Bad Slug', 'mux', mux('x'))).rejects.toThrow(InvalidTenantSlugError)
    for (const work of [
      () => setCredential('nobody', 'mux', mux('secret')),
      () => deleteCredential('nobody', 'mux', 'token_id'),
      () => listCredentials('nobody'),
      () => verifyCredential('nobody', 'mux'),
      () => getTenantMuxClient('nobody'),
    ]) {
      await expect(work()).rejects.toThrow(UnknownTenantError)
    }
    await expect(deleteCredential(tenantId, 'mux', 'nonsense')).rejects.toThrow(InvalidCredentialError)
  })
})

describe('a client', () => {
  test('is null without credentials, required with an error, and one object while they stay', async () => {
    expect(await getTenantMuxClient(tenantId)).toBeNull()
    await expect(requireTenantMuxClient(tenantId)).rejects.toThrow(ServiceNotConfiguredError)
    await expect(requireTenantMuxClient(tenantId)).rejects.toThrow(
      /no token_id, token_secret for mux.*credential:set/,
    )
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    const client = await requireTenantMuxClient(tenantId)
    expect(await getTenantMuxClient(tenantId)).toBe(client)
    await setCredential(tenantId, 'mux', mux('secret-5678-efgh'))
    expect(await getTenantMuxClient(tenantId)).not.toBe(client)
    await deleteCredential(tenantId, 'mux', 'token_id')
    expect(await getTenantMuxClient(tenantId)).toBeNull()
    expect(await getTenantStripeClient(tenantId)).toBeNull()
  })

  test('of one tenant carries the credential of that tenant, however many are asked for at once', async () => {
    const tenants = await Promise.all(Array.from({ length: 8 }, () => kit.tenant()))
    for (const slug of tenants) {
      turnstile.accepted.add(`secret-of-${slug}`)
      await setCredential(slug, 'mux', mux(`secret-of-${slug}`))
    }
    await Promise.all(
      tenants.flatMap((slug) =>
        Array.from({ length: 5 }, async () => {
          await (await requireTenantMuxClient(slug)).video.assets.list()
        }),
      ),
    )
    for (const slug of tenants) expect(turnstile.asked(`secret-of-${slug}`)).toBe(5)
  })

  test('goes with its tenant, and is not that of another tenant that gets the slug', async () => {
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    const client = await requireTenantMuxClient(tenantId)
    await deleteTenant(tenantId)
    await expect(client.video.assets.list()).rejects.toThrow()
    expect(turnstile.requests).toEqual([])
    await createTenant(tenantId)
    expect(await getTenantMuxClient(tenantId)).toBeNull()
  })

  test('cannot be made of a text that was copied from another tenant', async () => {
    const other = await kit.tenant()
    await setCredential(other, 'mux', mux('secret-1234-abcd'))
    await setCredential(tenantId, 'mux', mux('secret-5678-efgh'))
    const { encrypted } = (await stored())[1]!
    await withTenant(
      other,
      () =>
        sql`UPDATE tenant_api_credentials SET encrypted_value = ${encrypted} WHERE credential_key = 'token_secret'`,
    )
    await expect(getTenantMuxClient(other)).rejects.toThrow(CredentialError)
    expect((await listCredentials(other))[1]).toMatchObject({ key: 'token_secret', lastFour: null })
  })
})

describe('verifying', () => {
  test('says whether the provider takes the credential, and keeps it', async () => {
    turnstile.accepted.add('secret-1234-abcd')
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    expect(await verifyCredential(tenantId, 'mux')).toMatchObject({ result: 'valid', error: null })
    expect(turnstile.requests).toHaveLength(1)
    turnstile.accepted.delete('secret-1234-abcd')
    expect(await verifyCredential(tenantId, 'mux')).toMatchObject({ result: 'refused' })
    expect((await listCredentials(tenantId))[0]).toMatchObject({
      status: 'invalid',
      lastError: 'unauthorized: Unauthorized request',
      lastVerifiedAt: expect.any(Date),
    })
  })

  test.each([
    ['away', { status: 503, body: {} }],
    ['asks to wait', { status: 429, body: {} }],
    ['silent', { instead: 'silence' as const }],
  ])('leaves the status as it was when the provider is %s', async (_, answer) => {
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    turnstile.answerNext(answer)
    const check = await verifyCredential(tenantId, 'mux')
    expect(check).toMatchObject({ result: 'unknown', error: { code: expect.any(String) } })
    const [credential] = await listCredentials(tenantId)
    expect(credential).toMatchObject({ status: 'active', lastVerifiedAt: null })
    expect(credential!.lastError).toContain(check.error!.code)
  })

  test('says nothing of a credential that was replaced meanwhile', async () => {
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    turnstile.answerNext(async () => {
      await setCredential(tenantId, 'mux', mux('secret-5678-efgh'))
      return { status: 401, body: {} }
    })
    expect(await verifyCredential(tenantId, 'mux')).toMatchObject({ result: 'refused' })
    expect((await listCredentials(tenantId))[0]).toMatchObject({ status: 'active', lastError: null })
    await expect(verifyCredential(tenantId, 'stripe')).rejects.toThrow(ServiceNotConfiguredError)
  })
})

describe('rotation', () => {
  const [old, fresh] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
  const ringsOf = (keys: string) => new KeyRings(readConfig({ encryptionKeys: keys }, {}))

  test('encrypts anew what another key has encrypted, once, and leaves what it cannot read', async () => {
    const { database } = await kit.platform.ready()
    const place = (key: string) => ({ tenantId, service: 'mux', key })
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    const set = (key: string, text: string) =>
      withTenant(
        tenantId,
        () => sql`UPDATE tenant_api_credentials SET encrypted_value = ${text} WHERE credential_key = ${key}`,
      )
    await set('token_id', encrypt('the-id', place('token_id'), ringsOf(old).of('mux')))
    await set('token_secret', encrypt('the-secret', place('token_secret'), ringsOf(fresh).of('mux')))

    const keys = ringsOf(`${fresh},${old}`)
    expect(await rotateCredentials({ database, keys }, tenantId)).toMatchObject({
      rotated: 1,
      current: 1,
      failed: [],
    })
    expect(await rotateCredentials({ database, keys }, tenantId)).toMatchObject({
      rotated: 0,
      current: 2,
      failed: [],
    })
    for (const { key, encrypted } of await stored()) {
      expect(decrypt(encrypted, place(key), ringsOf(fresh).of('mux'))).toMatch(/^the-/)
    }
    const failing = await rotateCredentials({ database, keys: ringsOf(old) }, tenantId)
    expect(failing).toMatchObject({ rotated: 0, failed: [{ key: 'token_id' }, { key: 'token_secret' }] })
    await expect(rotateCredentials({ database, keys }, 'nobody')).rejects.toThrow(UnknownTenantError)
  })

  test('does not undo what somebody sets meanwhile, and keeps a client whose values stay', async () => {
    const { database, clients } = await kit.platform.ready()
    await setCredential(tenantId, 'mux', mux('secret-1234-abcd'))
    const client = await requireTenantMuxClient(tenantId)
    const same = new KeyRings(readConfig({ encryptionKeys: `${fresh},${encryptionKeys}` }, {}))
    await rotateCredentials({ database, keys: same }, tenantId)
    const back = new KeyRings(readConfig({ encryptionKeys: `${encryptionKeys},${fresh}` }, {}))
    expect(await rotateCredentials({ database, keys: back }, tenantId)).toMatchObject({ rotated: 2 })
    clients.invalidate(tenantId, 'mux')
    expect(await requireTenantMuxClient(tenantId)).toBe(client)
  })
})
