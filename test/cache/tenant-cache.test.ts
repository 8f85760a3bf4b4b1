/** One suite for both stores: what an app sees of its cache does not depend on where it is. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  CacheTenantMismatchError,
  createTenantCache,
  deleteTenant,
  getCacheKey,
  suspendTenant,
  type TenantCache,
  withTenant,
} from '../../src/index.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { hasRedis, RedisServer } from '../fixtures/redis.ts'

describe('in Postgres', () => behaves(async () => ({ redisUrl: null, stop: async () => {} })))
describe.skipIf(!hasRedis)('in Redis', () =>
  behaves(async () => {
    const server = await RedisServer.start()
    return { redisUrl: server.url, stop: () => server.stop() }
  }),
)

function behaves(open: () => Promise<{ redisUrl: string | null; stop(): Promise<void> }>): void {
  let server: Awaited<ReturnType<typeof open>>
  let kit: TestPlatform
  let tenantId: string
  let cache: TenantCache

  beforeAll(async () => {
    server = await open()
    kit = await createTestPlatform({ tasks: [], redisUrl: server.redisUrl })
  })
  beforeEach(async () => {
    tenantId = await kit.tenant()
    cache = createTenantCache(tenantId)
  })
  afterAll(async () => {
    await kit.close()
    await server.stop()
  })

  test('what was set is there, until it is set anew or deleted', async () => {
    expect(await cache.get('a')).toBeUndefined()
    await cache.set('a', { n: 1, text: 'NUL \0 é 😀 \ud800' }, { ttl: '1m' })
    expect(await cache.get('a')).toEqual({ n: 1, text: 'NUL \0 é 😀 \ud800' })
    await cache.set('a', null, { ttl: '1m' })
    expect(await cache.get('a')).toBeNull()
    expect(await cache.delete('a')).toBe(true)
    expect(await cache.get('a')).toBeUndefined()
    expect(await cache.delete('a')).toBe(false)
  })

  test('keys may be anything', async () => {
    const keys = [
      '',
      ':',
      '%',
      '*',
      '[a-z]*',
      'a:b',
      'a%003ab',
      '\0',
      '\ud800',
      '😀',
      'x'.repeat(500),
      'x'.repeat(501),
    ]
    keys.push(getCacheKey(tenantId, 'product', 1))
    await Promise.all(keys.map((key, index) => cache.set(key, index, { ttl: '1m' })))
    expect(await Promise.all(keys.map((key) => cache.get(key)))).toEqual([...keys.keys()])
  })

  test('an entry that has expired is not there, and a new time to live replaces the old one', async () => {
    await cache.set('short', 1, { ttl: 1 })
    await cache.set('renewed', 1, { ttl: 200 })
    await cache.set('renewed', 2, { ttl: '1h' })
    await cache.set('cut', 1, { ttl: '1h' })
    await cache.set('cut', 2, { ttl: 1 })
    await expect.poll(() => cache.get('short')).toBeUndefined()
    await expect.poll(() => cache.get('cut')).toBeUndefined()
    expect(await cache.delete('short')).toBe(false)
    await cache.set('clock', 1, { ttl: 300 })
    await expect.poll(() => cache.get('clock'), { timeout: 5_000 }).toBeUndefined()
    expect(await cache.get('renewed')).toBe(2)
  })

  test('tenants have nothing in common, and clearing is of one', async () => {
    const other = createTenantCache(await kit.tenant())
    await cache.set('a', 'ours', { ttl: '1m' })
    expect(await other.get('a')).toBeUndefined()
    await other.set('a', 'theirs', { ttl: '1m' })
    expect(await other.get(getCacheKey(tenantId, 'a'))).toBeUndefined()
    for (let index = 0; index < 50; index += 1) await cache.set(`k${index}`, index, { ttl: '1m' })
    await cache.clear()
    expect(await cache.get('a')).toBeUndefined()
    expect(await cache.get('k49')).toBeUndefined()
    expect(await other.get('a')).toBe('theirs')
  })

  test('code of a tenant reaches its own cache and no other', async () => {
    const otherId = await kit.tenant()
    await withTenant(tenantId, async () => {
      await cache.set('a', 1, { ttl: '1m' })
      expect(await createTenantCache(tenantId).get('a')).toBe(1)
      const other = createTenantCache(otherId)
      const calls = [
        () => other.get('a'),
        () => other.set('a', 1, { ttl: '1m' }),
        () => other.delete('a'),
        () => other.clear(),
        () => other.getOrSet('a', { ttl: '1m' }, () => 1),
      ]
      for (const call of calls) await expect(call()).rejects.toThrow(CacheTenantMismatchError)
    })
  })

  test('getOrSet asks once', async () => {
    let asked = 0
    const ask = () => cache.getOrSet('a', { ttl: '1m' }, async () => ({ asked: ++asked }))
    expect(await ask()).toEqual({ asked: 1 })
    expect(await ask()).toEqual({ asked: 1 })
    const failing = cache.getOrSet('b', { ttl: '1m' }, () => Promise.reject(new Error('no luck')))
    await expect(failing).rejects.toThrow('no luck')
    expect(await cache.get('b')).toBeUndefined()
    expect(await cache.getOrSet('c', { ttl: '1m' }, () => null)).toBeNull()
    expect(await cache.getOrSet('c', { ttl: '1m' }, () => 1 as unknown)).toBeNull()
  })

  test('refuses what it cannot keep, before anything is asked', async () => {
    await expect(cache.set('a', new Date(), { ttl: '1m' })).rejects.toMatchObject({
      code: 'CACHE_VALUE_INVALID',
    })
    await expect(cache.get(5 as never)).resolves.toBeUndefined()
    await expect(cache.get(null as never)).rejects.toMatchObject({ code: 'CACHE_KEY_INVALID' })
    for (const options of [
      undefined,
      {},
      { ttl: 0 },
      { ttl: -1 },
      { ttl: 'soon' },
      { ttl: '31d' },
      { ttl: Number.NaN },
    ]) {
      const refused = { code: 'CACHE_TTL_INVALID' }
      await expect(cache.set('a', 1, options as never)).rejects.toMatchObject(refused)
      await expect(cache.getOrSet('a', options as never, () => expect.unreachable())).rejects.toMatchObject(
        refused,
      )
    }
    expect(() => createTenantCache('No Slug')).toThrow(
      expect.objectContaining({ code: 'TENANT_SLUG_INVALID' }),
    )
  })

  test('a tenant that is unknown or suspended has none', async () => {
    await expect(createTenantCache('nobody').get('a')).rejects.toMatchObject({ code: 'TENANT_UNKNOWN' })
    await suspendTenant(tenantId)
    await expect(cache.set('a', 1, { ttl: '1m' })).rejects.toMatchObject({ code: 'TENANT_SUSPENDED' })
  })

  test('it goes with its tenant', async () => {
    await cache.set('a', 1, { ttl: '1h' })
    await deleteTenant(tenantId)
    const { cache: store } = await kit.platform.ready()
    expect(await store.get(getCacheKey(tenantId, 'a'))).toBeNull()
  })

  test('many callers at once', async () => {
    const calls = Array.from({ length: 200 }, (_, index) => cache.set(`k${index % 5}`, index, { ttl: '1m' }))
    await Promise.all(calls)
    expect(await cache.get<number>('k4')).toBeTypeOf('number')
  })
}
