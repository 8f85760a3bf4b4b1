/** A login whose search_path leads into a tenant or to decoys, by its own setting or by a schema of its own name. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/db/database.ts'
import { MissingTenantContextError } from '../../src/errors.ts'
import { createTestDatabase } from '../../src/testing/database.ts'
import { openTenants, rejection, type Tenants } from '../db/tenants.ts'
import { liveThroughEverything } from './story.ts'

const searchPaths = ['tenant_b, public', '"$user", public', 'tenant_b', 'pg_temp, tenant_b, public']

async function setSearchPath(database: Database, path: string): Promise<void> {
  const { rows } = await database.query<{ name: string }>('SELECT current_database() AS name')
  await database.script(`ALTER ROLE CURRENT_USER IN DATABASE "${rows[0]!.name}" SET search_path = ${path}`)
}

describe.each(searchPaths)('with search_path = %s', (path) => {
  let tenants: Tenants
  let database: Database

  beforeAll(async () => {
    tenants = await openTenants(['a', 'b'])
    const login = new URL(tenants.url).username
    await tenants.database.script(`CREATE SCHEMA "${login}"; CREATE TABLE "${login}".notes (tenant text)`)
    await setSearchPath(tenants.database, path)
    database = new Database({ url: tenants.url, poolSize: 1, admit: (slug) => tenants.directory.admit(slug) })
  })

  afterAll(async () => {
    await database.close()
    await tenants.close()
  })

  it('an unqualified tenant table outside a context is an error, never a silent read or write', async () => {
    const { sql } = database
    const attempts = [
      () => sql`SELECT * FROM notes`,
      () => sql`INSERT INTO notes (tenant) VALUES ('nobody')`,
      () => database.transaction(() => sql`SELECT * FROM notes`),
      () => database.transaction(() => database.transaction(() => sql`DELETE FROM notes`)),
    ]
    for (const attempt of attempts) {
      expect(await rejection(attempt())).toBeInstanceOf(MissingTenantContextError)
    }
    // The setting is there: this is what would have been read.
    expect((await database.pool.query('SELECT * FROM notes')).rows).toEqual([])
  })

  it('each tenant has its own all the same', async () => {
    for (const slug of ['a', 'b']) {
      await database.withTenant(slug, () => database.sql`INSERT INTO notes (tenant) VALUES (${slug})`)
      const { rows } = await database.withTenant(slug, () =>
        database.transaction(() => database.sql`DELETE FROM notes RETURNING tenant`),
      )
      expect(rows).toEqual([{ tenant: slug }])
    }
  })
})

it('the whole platform works with decoys in front of public and the queue', async () => {
  const test = await createTestDatabase()
  const database = new Database({ url: test.url, poolSize: 1, admit: () => expect.unreachable() })
  const decoys = ['organizations', 'platform_migrations', 'job', 'queue', 'version', 'customers']
  await database.script(
    `CREATE SCHEMA decoy; ${decoys.map((name) => `CREATE TABLE decoy.${name} (id int PRIMARY KEY)`).join('; ')}`,
  )
  await setSearchPath(database, 'decoy, public')
  await liveThroughEverything({ databaseUrl: test.url })
  const { rows } = await database.query(
    decoys.map((name) => `SELECT count(*)::int AS rows FROM decoy.${name}`).join(' UNION '),
  )
  expect(rows).toEqual([{ rows: 0 }])
  const { rows: strays } = await database.query(
    "SELECT relname FROM pg_class WHERE relnamespace = 'decoy'::regnamespace AND relkind = 'r'",
  )
  expect(strays).toHaveLength(decoys.length)
  await database.close()
  await test.drop()
})
