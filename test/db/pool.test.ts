/** Who waits for a provider holds nothing: 200 contexts, 10 connections. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { DatabaseSetupError } from '../../src/errors.ts'
import { openTenants, slugsOf, type Tenants } from './tenants.ts'

const slugs = slugsOf('shop', 10)
const contexts = 200
let tenants: Tenants

beforeAll(async () => {
  tenants = await openTenants(slugs, 10)
})

afterAll(async () => {
  await tenants.close()
})

/** What the pool and Postgres say about connections in use, every 50 ms for as long as 30 of them take. */
async function watchConnections() {
  const { database } = tenants
  let inUse = 0
  let inTransaction = 0
  for (let samples = 0; samples < 30; samples += 1) {
    inUse = Math.max(inUse, database.pool.totalCount - database.pool.idleCount)
    const { rows } = await database.query<{ open: number }>(
      `SELECT count(*)::int AS open FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL`,
    )
    inTransaction = Math.max(inTransaction, rows[0]!.open)
    await sleep(50)
  }
  return { inUse, inTransaction }
}

/** Each context asks the database, waits for its provider, and asks again. */
function callProvider(provider: Promise<void>, whileWaiting: () => void): Promise<unknown>[] {
  const { database } = tenants
  return Array.from({ length: contexts }, (_, index) =>
    database.withTenant(slugs[index % slugs.length]!, async () => {
      await database.sql`SELECT count(*) FROM notes`
      await database.transaction(
        () => database.sql`INSERT INTO notes (tenant) VALUES (${database.currentTenant()})`,
      )
      whileWaiting()
      await provider
      await database.sql`SELECT count(*) FROM notes`
    }),
  )
}

it('200 contexts that wait for a provider hold no connection and no transaction, and starve nobody', async () => {
  const { database } = tenants
  const provider = Promise.withResolvers<void>()
  const allWait = Promise.withResolvers<void>()
  let waiting = 0
  const running = callProvider(provider.promise, () => {
    waiting += 1
    if (waiting === contexts) allWait.resolve()
  })
  await Promise.race([allWait.promise, Promise.all(running)])
  expect(await watchConnections()).toEqual({ inUse: 0, inTransaction: 0 })
  const started = performance.now()
  await database.withTenant('shop_0', () => database.sql`SELECT 1`)
  expect(performance.now() - started).toBeLessThan(500)
  provider.resolve()
  await Promise.all(running)
})

it('a transaction that waits for a provider would be seen', async () => {
  const { database } = tenants
  const provider = Promise.withResolvers<void>()
  const running = database.withTenant('shop_0', () =>
    database.transaction(async () => {
      await database.sql`SELECT 1`
      await provider.promise
    }),
  )
  expect(await watchConnections()).toEqual({ inUse: 1, inTransaction: 1 })
  provider.resolve()
  await running
})

it('a connection that breaks while nobody uses it is replaced', async () => {
  const { database } = tenants
  await database.query(
    // An autovacuum worker may be there as well, and is nobody's to end.
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  )
  await sleep(50)
  const answers = await Promise.all(
    slugs.map((slug) => database.withTenant(slug, () => database.sql`SELECT 1 AS one`)),
  )
  expect(answers).toHaveLength(10)
})

it('a pool whose connections are all held says so, instead of waiting for ever', async () => {
  const { database } = tenants
  const held = await Promise.all(Array.from({ length: 10 }, () => database.pool.connect()))
  const patient = database.pool.options.connectionTimeoutMillis
  database.pool.options.connectionTimeoutMillis = 100
  const refused = await database.query('SELECT 1').catch((error: unknown) => error)
  database.pool.options.connectionTimeoutMillis = patient
  for (const client of held) client.release()
  expect(refused).toBeInstanceOf(DatabaseSetupError)
  expect((refused as Error).message).toMatch(/10 connections: raise JOBS_POOL_SIZE/)
})

it('before a long quiet, closes the connections that nobody uses, and only those', async () => {
  const { database } = tenants
  const [opened, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const inUse = database.transaction(async () => {
    await database.sql`SELECT 1`
    opened.resolve()
    await goOn.promise
    return (await database.sql`SELECT 2 AS two`).rows
  })
  await opened.promise
  await Promise.all(slugs.map((slug) => database.withTenant(slug, () => database.sql`SELECT 1`)))
  expect(database.pool.idleCount).toBeGreaterThan(0)
  await database.closeIdle()
  expect(database.pool).toMatchObject({ totalCount: 1, idleCount: 0 })
  goOn.resolve()
  expect(await inUse).toEqual([{ two: 2 }])
  expect((await database.query('SELECT 3 AS three')).rows).toEqual([{ three: 3 }])
})
