/** A platform for one test file: a database of its own with the real migrations, a directory, and a clock to turn. */
import { fileURLToPath } from 'node:url'
import { Database } from '../../src/db/database.ts'
import { migratePublic } from '../../src/db/migrations/public.ts'
import { TenantDirectory } from '../../src/tenants/directory.ts'
import type { TenantDeps } from '../../src/tenants/tenant.ts'
import { createTestDatabase } from '../../src/testing/database.ts'

export const migrationsDir = fileURLToPath(new URL('../../migrations', import.meta.url))

/** Stands where the engine stands: it counts what it is told to, and remembers what it was asked. */
export class RecordedWork {
  open = new Map<string, number>()
  calls: string[] = []

  async countOpen(tenantId: string): Promise<number> {
    this.calls.push(`count ${tenantId}`)
    return this.open.get(tenantId) ?? 0
  }

  async drop(tenantId: string): Promise<void> {
    this.calls.push(`drop ${tenantId}`)
    this.open.delete(tenantId)
  }

  async release(tenantId: string): Promise<void> {
    this.calls.push(`release ${tenantId}`)
  }
}

export interface Process extends TenantDeps {
  work: RecordedWork
  clock: { ms: number }
}

/** One process of the platform. Several may work on one database. */
export function openProcess(url: string, options: { maxEntries?: number; poolSize?: number } = {}): Process {
  const clock = { ms: 0 }
  const directory = new TenantDirectory({ database: () => database, now: () => clock.ms, ...options })
  const database = new Database({
    url,
    poolSize: options.poolSize ?? 5,
    admit: (tenantId) => directory.admit(tenantId),
  })
  const cache = { clear: async () => {} }
  return { database, directory, migrationsDir, work: new RecordedWork(), cache, clock }
}

export async function openPlatform(): Promise<Process & { url: string; close(): Promise<void> }> {
  const { url, drop } = await createTestDatabase()
  const process = openProcess(url)
  await migratePublic(process.database, migrationsDir)
  const close = async () => {
    await process.database.close()
    await drop()
  }
  return { ...process, url, close }
}

/** What is left of a tenant: each of these is 0 when it is gone. */
export async function traces(database: Database, slug: string): Promise<Record<string, number>> {
  const { rows } = await database.query<Record<string, number>>(
    `SELECT (SELECT count(*)::int FROM pg_namespace WHERE nspname = 'tenant_' || $1::text) AS schemas,
            (SELECT count(*)::int FROM pg_roles
              WHERE rolname = 'tenant_' || $1 || '_' || $2::text) AS roles,
            (SELECT count(*)::int FROM public.platform_migrations WHERE schema_name = 'tenant_' || $1) AS ledger,
            (SELECT count(*)::int FROM public.organizations WHERE slug = $1) AS rows`,
    [slug, (await databaseOid(database)).toString(36)],
  )
  return rows[0]!
}

export async function databaseOid(database: Database): Promise<number> {
  const { rows } = await database.query<{ oid: string }>(
    'SELECT oid::text FROM pg_database WHERE datname = current_database()',
  )
  return Number(rows[0]!.oid)
}
