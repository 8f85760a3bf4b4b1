/** Behind PgBouncer in transaction mode: every statement may come to another server connection than the one before. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { readTestConfig } from '../../src/config.ts'
import { Listener } from '../../src/db/listener.ts'
import { close, createTenant, deleteTenant, sql, startWorker, withTenant } from '../../src/index.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { contend, Ledger } from '../db/contention.ts'
import { createTenants, notesMigrations, rejection, slugsOf, untouched } from '../db/tenants.ts'
import { hasPgBouncer, type PgBouncer, serverConnections, startPgBouncer } from '../fixtures/pgbouncer.ts'
import { openProcess, type Process } from '../tenants/platform.ts'
import { configureStory, greet, liveThroughEverything, newSlug } from './story.ts'

describe.skipIf(!hasPgBouncer)('behind PgBouncer', () => {
  let bouncer: PgBouncer

  beforeAll(async () => {
    bouncer = await startPgBouncer(readTestConfig().serverUrl!)
  })

  afterAll(async () => {
    await bouncer?.stop()
  })

  describe('the database', () => {
    const slugs = slugsOf('shop', 20)
    const ledger = new Ledger()
    let test: TestDatabase
    let process: Process

    beforeAll(async () => {
      test = await createTestDatabase({ template: readTestConfig().template! })
      process = {
        ...openProcess(bouncer.through(test.url), { poolSize: 10 }),
        migrationsDir: notesMigrations,
      }
      await createTenants(process, slugs)
    })

    afterEach(async () => {
      expect(await serverConnectionStates(bouncer.through(test.url))).toEqual(
        Array(serverConnections).fill(untouched),
      )
    })

    afterAll(async () => {
      await process.database.close()
      await test.drop()
    })

    it.each([11, 12])('keeps 20 tenants in 60 contexts apart (seed %i)', async (seed) => {
      await contend({ database: process.database, slugs, contexts: 60, seed }, ledger)
      await ledger.check(process.database, slugs)
    })
    it('keeps a transaction on one server connection, while others go on beside it', async () => {
      const { database } = process
      const pid = async () =>
        (await database.sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`).rows[0]!.pid
      const one = database.withTenant('shop_0', () =>
        database.transaction(async () => {
          const pids = [await pid()]
          await sleep(50)
          pids.push(await pid())
          await database.transaction(async () => pids.push(await pid()))
          return new Set(pids).size
        }),
      )
      const others = Array.from({ length: 30 }, () => database.withTenant('shop_1', pid))
      expect(await one).toBe(1)
      expect(new Set(await Promise.all(others)).size).toBeGreaterThan(1)
    })

    it('cancels a statement that is running, and no other', async () => {
      const { database } = process
      const reason = new Error('cancelled by the test')
      const abort = new AbortController()
      const cancelled = database.withTenant('shop_0', () => database.sql`SELECT pg_sleep(20)`, {
        signal: abort.signal,
      })
      const others = slugs
        .slice(1, 4)
        .map((slug) => database.withTenant(slug, () => database.sql`SELECT pg_sleep(0.6)`))
      cancelled.then(undefined, () => {})
      await sleep(200)
      const started = performance.now()
      abort.abort(reason)
      expect(await rejection(cancelled)).toBe(reason)
      expect(performance.now() - started).toBeLessThan(1_000)
      await Promise.all(others)
      await expect
        .poll(
          async () =>
            (
              await database.query(
                "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' AND pid <> pg_backend_pid()",
              )
            ).rowCount,
        )
        .toBe(0)
    })
  })

  describe('the platform', () => {
    let test: TestDatabase

    beforeAll(async () => {
      test = await createTestDatabase()
    })

    afterAll(async () => {
      await test.drop()
    })

    it('does everything, migrations included, with a direct URL for notifications', async () => {
      await liveThroughEverything({ databaseUrl: bouncer.through(test.url), directUrl: test.url })
    })

    it('does everything without one', async () => {
      await liveThroughEverything({ databaseUrl: bouncer.through(test.url) })
    })

    it('starts runs at once with a direct URL, and at polling speed without', async () => {
      const latency = async (directUrl: string | null) => {
        configureStory({ databaseUrl: bouncer.through(test.url), directUrl })
        const tenantId = newSlug()
        await createTenant(tenantId)
        await startWorker()
        await greet.triggerAndWait({ tenantId, email: 'warm@example.org' })
        const delays: number[] = []
        for (let times = 0; times < 7; times += 1) {
          await sleep(30 * times)
          const triggered = Date.now()
          const result = await greet.triggerAndWait({ tenantId, email: 'quick@example.org' })
          if (result.ok) delays.push(result.output.startedAt - triggered)
        }
        const { rowCount } = await withTenant(tenantId, () => sql`SELECT FROM customers`)
        expect(rowCount).toBe(8)
        await deleteTenant(tenantId)
        await close()
        return delays.sort((one, other) => one - other)[3]!
      }
      expect(await latency(test.url)).toBeLessThan(100)
      expect(await latency(null)).toBeLessThan(1_000)
    })

    it('the listener knows that it hears nothing, and says what to set', async () => {
      const errors: Error[] = []
      const url = bouncer.through(test.url)
      const listener = new Listener({ url, onError: (error) => errors.push(error) }).on('channel', () => {})
      listener.start()
      await expect.poll(() => errors.length, { timeout: 10_000 }).toBeGreaterThan(0)
      expect(listener.connected).toBe(false)
      expect(errors[0]!.message).toMatch(/DATABASE_DIRECT_URL/)
      await listener.close()
    })
  })
})

/** How the connections between PgBouncer and Postgres are left: an open transaction on each, so that each answers once. */
async function serverConnectionStates(url: string): Promise<unknown[]> {
  const clients = Array.from({ length: serverConnections }, () => new pg.Client({ connectionString: url }))
  await Promise.all(clients.map((client) => client.connect()))
  const states = await Promise.all(
    clients.map(async (client) => {
      await client.query('BEGIN')
      const { rows } = await client.query(`
        SELECT pg_backend_pid() AS pid, current_user = session_user AS "isLogin", current_setting('search_path') AS "searchPath",
          (SELECT count(*)::int FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS tables,
          (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks`)
      return rows[0]
    }),
  )
  for (const client of clients) await client.query('COMMIT')
  await Promise.all(clients.map((client) => client.end()))
  expect(new Set(states.map(({ pid }) => pid)).size).toBe(serverConnections)
  return states.map(({ pid: _, ...state }) => ({ status: 'I', ...state }))
}
