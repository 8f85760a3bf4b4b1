/** What each store does of its own: sweeping in Postgres, and being away. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { PostgresCache } from '../../src/cache/postgres.ts'
import { RedisCache } from '../../src/cache/redis.ts'
import { type CacheStore, withinDeadline } from '../../src/cache/store.ts'
import { openTenantCache } from '../../src/cache/tenant-cache.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { hasRedis, RedisServer } from '../fixtures/redis.ts'

const noError = (error: Error) => expect.unreachable(error.message)

function open(store: CacheStore): CacheStore {
  const bounded = withinDeadline(store)
  onTestFinished(() => bounded.close())
  return bounded
}

const cacheOver = (store: CacheStore) =>
  openTenantCache('shop', async () => ({ store, admit: async () => null }))

/** Every call says so, soon, and getOrSet does without. */
async function expectAway(store: CacheStore): Promise<void> {
  const cache = cacheOver(store)
  const away = { code: 'CACHE_UNAVAILABLE', message: expect.stringContaining('REDIS_URL') }
  const startedAt = performance.now()
  await Promise.all([
    expect(cache.get('a')).rejects.toMatchObject(away),
    expect(cache.set('a', 1, { ttl: '1m' })).rejects.toMatchObject(away),
    expect(cache.delete('a')).rejects.toMatchObject(away),
    expect(cache.getOrSet('a', { ttl: '1m' }, () => 'asked')).resolves.toBe('asked'),
  ])
  // getOrSet waits twice. A busy machine is no reason to fail.
  expect(performance.now() - startedAt).toBeLessThan(10_000)
}

describe('Postgres', () => {
  let kit: TestPlatform
  beforeAll(async () => {
    kit = await createTestPlatform({ tasks: [] })
  })
  afterAll(() => kit.close())

  const query = async (text: string) => (await (await kit.platform.ready()).database.query(text)).rows

  test('what has expired is never read, swept or not, and is swept in portions by those who write', async () => {
    let now = 0
    const store = open(new PostgresCache({ url: kit.databaseUrl, now: () => now, onError: noError }))
    await store.set('shop:a', '1', 60_000)
    await query(`INSERT INTO public.platform_cache (tenant_id, key, value, expires_at)
      SELECT 'shop', 'old' || n, '1', now() - interval '1 second' FROM generate_series(1, 1500) n`)
    expect(await store.get('shop:old1')).toBeNull()
    expect(await store.delete('shop:old1')).toBe(false)
    const left = async () => (await query('SELECT FROM public.platform_cache')).length
    await store.set('shop:b', '1', 60_000)
    expect(await left()).toBe(1_501)
    now = 60_000
    await store.set('shop:c', '1', 60_000)
    await expect.poll(left).toBe(502)
    await store.set('shop:d', '1', 60_000)
    await expect.poll(left).toBe(4)
    expect(await store.get('shop:a')).toBe('1')
  })

  test('where it is away', async () => {
    const url = 'postgres://nobody@127.0.0.1:1/nowhere'
    await expectAway(open(new PostgresCache({ url, onError: noError })))
  })

  test('where it does not answer', async () => {
    const store = open(new PostgresCache({ url: kit.databaseUrl, onError: noError }))
    const { database } = await kit.platform.ready()
    await database.transaction(async () => {
      await database.sql`LOCK TABLE public.platform_cache IN ACCESS EXCLUSIVE MODE`
      await expectAway(store)
    })
    await store.set('shop:a', '1', 1_000)
  })

  test('a sweep that fails is told of, and breaks nobody', async () => {
    const errors: Error[] = []
    let now = 0
    const onError = (error: Error) => errors.push(error)
    const store = open(new PostgresCache({ url: kit.databaseUrl, now: () => now, onError }))
    await query(
      `CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`,
    )
    await query(
      `CREATE TRIGGER refuse BEFORE DELETE ON public.platform_cache EXECUTE FUNCTION public.refuse()`,
    )
    now = 60_000
    await store.set('shop:a', '1', 60_000)
    await expect.poll(() => errors.length).toBe(1)
    expect(await store.get('shop:a')).toBe('1')
    await query('DROP FUNCTION public.refuse CASCADE')
  })
})

describe.skipIf(!hasRedis)('Redis', () => {
  let server: RedisServer
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.stop())

  test('where it was never there', async () => {
    const errors: Error[] = []
    const store = open(new RedisCache({ url: 'redis://127.0.0.1:1', onError: (error) => errors.push(error) }))
    await expectAway(store)
    await expectAway(store)
    expect(errors).toHaveLength(1)
  })

  test('that goes away and comes back', async () => {
    const errors: Error[] = []
    const store = open(new RedisCache({ url: server.url, onError: (error) => errors.push(error) }))
    await store.set('shop:a', '1', 60_000)
    await server.stop()
    await expect.poll(() => errors.length).toBe(1)
    await expectAway(store)
    await server.start()
    const back = () => store.set('shop:a', '2', 60_000).then(() => store.get('shop:a'))
    await expect.poll(() => back().catch(() => null), { timeout: 10_000 }).toBe('2')
    expect(errors).toHaveLength(1)
  })

  test('that hears and does not answer', async () => {
    const store = open(new RedisCache({ url: server.url, onError: noError }))
    await store.set('shop:other', '1', 60_000)
    server.freeze()
    onTestFinished(() => server.thaw())
    await expectAway(store)
    server.thaw()
    expect(await store.get('shop:other')).toBe('1')
  })

  test('it keeps the time to live itself, under keys that say whose they are', async () => {
    const store = open(new RedisCache({ url: server.url, onError: noError }))
    const { createClient } = await import('@redis/client')
    const client = await createClient({ url: server.url }).connect()
    onTestFinished(() => client.destroy())
    await store.set('shop:ttl', '1', 60_000)
    expect(await client.pTTL('cgk:cache:shop:ttl')).toBeGreaterThan(50_000)
    await client.set('cgk:cache:shopper:a', 'x')
    await client.set('shop:a', 'x')
    await store.clear('shop')
    expect(await client.keys('*')).toEqual(expect.arrayContaining(['cgk:cache:shopper:a', 'shop:a']))
    expect(await client.exists('cgk:cache:shop:ttl')).toBe(0)
  })
})
