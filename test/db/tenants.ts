/** A migrated database whose tenants have a few small tables (test/fixtures/notes), for tests of the database itself. */
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { readTestConfig } from '../../src/config.ts'
import type { Database } from '../../src/db/database.ts'
import { createTenant } from '../../src/tenants/create.ts'
import { createTestDatabase } from '../../src/testing/database.ts'
import { openProcess, type Process } from '../tenants/platform.ts'

export const notesMigrations = fileURLToPath(new URL('../fixtures/notes', import.meta.url))

export interface Tenants extends Process {
  url: string
  close(): Promise<void>
}

export async function openTenants(slugs: readonly string[], poolSize = 5): Promise<Tenants> {
  const template = readTestConfig().template
  const { url, drop } = await createTestDatabase(template === undefined ? {} : { template })
  const process = { ...openProcess(url, { poolSize }), migrationsDir: notesMigrations }
  await createTenants(process, slugs)
  const close = async () => {
    await process.database.close()
    await drop()
  }
  return { ...process, url, close }
}

export async function createTenants(process: Process, slugs: readonly string[]): Promise<void> {
  const left = slugs.values()
  const worker = async () => {
    for (const slug of left) await createTenant(process, slug)
  }
  await Promise.all([worker(), worker(), worker()])
}

export function slugsOf(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}_${index}`)
}

/** A statement from a text that is only known at run time. */
export function statement(database: Database, text: string) {
  return database.sql([text] as unknown as TemplateStringsArray)
}

/** What a promise is rejected with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  return await promise.then(
    (value) => {
      throw new Error(`expected a rejection, got ${JSON.stringify(value)}`)
    },
    (reason: unknown) => reason,
  )
}

export async function sqlState(promise: PromiseLike<unknown>): Promise<string | undefined> {
  const error = await rejection(promise)
  if (error instanceof pg.DatabaseError) return error.code
  throw error
}

export interface ConnectionState {
  isLogin: boolean
  searchPath: string
  status: string | null
  tables: number
  locks: number
}

/** How every connection of the pool is left: all are taken at once, so none can hide. */
export async function connectionStates(database: Database): Promise<ConnectionState[]> {
  const { pool } = database
  const clients = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
  try {
    return await Promise.all(
      clients.map(async (client) => {
        const status = client.getTransactionStatus()
        const { rows } = await client.query(`
          SELECT current_user = session_user AS "isLogin", current_setting('search_path') AS "searchPath",
            (SELECT count(*)::int FROM pg_class WHERE relnamespace = pg_my_temp_schema()) AS tables,
            (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks`)
        return { status, ...rows[0] }
      }),
    )
  } finally {
    for (const client of clients) client.release()
  }
}

export const untouched: ConnectionState = {
  isLogin: true,
  searchPath: '"$user", public',
  status: 'I',
  tables: 0,
  locks: 0,
}
