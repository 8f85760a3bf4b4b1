import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Database } from '../../src/db/database.ts'
import { migratePublic } from '../../src/db/migrations/public.ts'
import { migrationStatus } from '../../src/db/migrations/status.ts'
import { migrateTenant } from '../../src/db/migrations/tenant.ts'
import { migrateTenants, type TenantMigration } from '../../src/db/migrations/tenants.ts'
import { MigrationError, UnknownTenantError } from '../../src/errors.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'

let test: TestDatabase
let database: Database
let dir: string

beforeEach(async () => {
  test = await createTestDatabase()
  database = openDatabase()
  dir = await mkdtemp(join(tmpdir(), 'cgk-migrations-'))
  await mkdir(join(dir, 'public'))
  await mkdir(join(dir, 'tenant'))
  await file('public/001_organizations.sql', 'CREATE TABLE public.organizations (slug text PRIMARY KEY);')
  await file('tenant/001_orders.sql', 'CREATE TABLE orders (id text PRIMARY KEY);')
})

afterEach(async () => {
  await database.close()
  await test.drop()
  await rm(dir, { recursive: true })
})

const openDatabase = () =>
  new Database({
    url: test.url,
    poolSize: 5,
    admit: () => Promise.reject(new Error('no tenant is entered here')),
  })

const file = (name: string, sql: string) => writeFile(join(dir, name), sql)

/** How often a connection is taken from the pool from now on: for a statement, or for a transaction. */
function countConnections(): () => number {
  let count = 0
  database.pool.on('acquire', () => {
    count += 1
  })
  return () => count
}

async function addTenants(...slugs: string[]): Promise<void> {
  await database.query('INSERT INTO public.organizations SELECT unnest($1::text[])', [slugs])
}

async function tables(schema: string): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>(
    'SELECT relname::text AS name FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind = $2 ORDER BY 1',
    [schema, 'r'],
  )
  return rows.map(({ name }) => name)
}

describe('migratePublic', () => {
  it('applies what is pending, and then costs one query', async () => {
    expect(await migratePublic(database, dir)).toEqual({ schema: 'public', files: ['001_organizations.sql'] })
    const counted = countConnections()
    expect((await migratePublic(database, dir)).files).toEqual([])
    expect(counted()).toBe(1)
  })

  it('applies once when several processes start at once', async () => {
    await file('public/002_slow.sql', 'SELECT pg_sleep(0.2); CREATE TABLE public.slow (id int);')
    const others = [openDatabase(), openDatabase(), openDatabase()]
    const results = await Promise.all([database, ...others].map((each) => migratePublic(each, dir)))
    expect(results.map(({ files }) => files.length).sort()).toEqual([0, 0, 0, 2])
    const { rows } = await database.query('SELECT number FROM public.platform_migrations ORDER BY number')
    expect(rows).toEqual([{ number: 1 }, { number: 2 }])
    await Promise.all(others.map((each) => each.close()))
  })

  it('keeps nothing of a run that fails, and names the file, the line and the cause', async () => {
    await file(
      'public/002_bad.sql',
      'CREATE TABLE public.good (id int);\nCREATE TABLE public.bad (id nonsense);',
    )
    await file('public/003_after.sql', 'CREATE TABLE public.after (id int);')
    const error = await migratePublic(database, dir).catch((reason) => reason)
    expect(error).toBeInstanceOf(MigrationError)
    expect(error.message).toMatch(/^002_bad\.sql failed in public at line 2: type "nonsense" does not exist/)
    expect(error.cause).toMatchObject({ code: '42704' })
    expect(await tables('public')).toEqual([])
    await file('public/002_bad.sql', 'CREATE TABLE public.good (id int);')
    expect((await migratePublic(database, dir)).files).toHaveLength(3)
  })

  it('refuses a file that was changed or renamed after it was applied', async () => {
    await migratePublic(database, dir)
    await file(
      'public/001_organizations.sql',
      'CREATE TABLE public.organizations (slug text PRIMARY KEY, extra int);',
    )
    await file('public/002_new.sql', 'CREATE TABLE public.new (id int);')
    await expect(migratePublic(database, dir)).rejects.toThrow(/001_organizations\.sql was changed .* public/)
    expect(await tables('public')).toEqual(['organizations', 'platform_migrations'])
  })

  it('answers what it would do', async () => {
    expect((await migratePublic(database, dir, { dryRun: true })).files).toEqual(['001_organizations.sql'])
    expect(await tables('public')).toEqual([])
  })

  it('leaves a database alone that a newer version has migrated', async () => {
    await migratePublic(database, dir)
    await database.query("INSERT INTO public.platform_migrations VALUES ('public', 2, '002_newer.sql', 'x')")
    expect((await migratePublic(database, dir)).files).toEqual([])
    const [platform] = await migrationStatus(database, dir)
    expect(platform!.unknown).toMatchObject([{ number: 2, name: '002_newer.sql' }])
  })

  it('leaves no setting of a file on the pooled connection', async () => {
    await file('public/002_set.sql', "SET search_path TO pg_catalog; SET statement_timeout = '1h';")
    await migratePublic(database, dir)
    for (let index = 0; index < database.pool.totalCount; index += 1) {
      const { rows } = await database.query(
        "SELECT current_setting('search_path') AS path, current_setting('statement_timeout') AS timeout",
      )
      expect(rows).toEqual([{ path: '"$user", public', timeout: '0' }])
    }
  })
})

describe('migrateTenant', () => {
  it('asks for the platform tables, and for the row', async () => {
    await expect(migrateTenant(database, 'a', dir)).rejects.toThrow(/Run: cgk migrate/)
    await migratePublic(database, dir)
    await expect(migrateTenant(database, 'a', dir)).rejects.toThrow(UnknownTenantError)
  })

  it('applies only what is new, in the tenant only', async () => {
    await migratePublic(database, dir)
    await addTenants('a', 'b')
    expect(await migrateTenant(database, 'a', dir)).toEqual({ schema: 'tenant_a', files: ['001_orders.sql'] })
    await file('tenant/002_items.sql', 'CREATE TABLE items (id text REFERENCES orders);')
    expect((await migrateTenant(database, 'a', dir, { dryRun: true })).files).toEqual(['002_items.sql'])
    expect((await migrateTenant(database, 'a', dir)).files).toEqual(['002_items.sql'])
    expect(await tables('tenant_a')).toEqual(['items', 'orders'])
    expect(await tables('tenant_b')).toEqual([])
  })

  it('gives up soon when a table is in use, and keeps nothing', async () => {
    await migratePublic(database, dir)
    await addTenants('a')
    await migrateTenant(database, 'a', dir)
    await file(
      'tenant/002_late.sql',
      "SET LOCAL lock_timeout = '50ms'; ALTER TABLE orders ADD COLUMN late int;",
    )
    const reader = await database.pool.connect()
    await reader.query('BEGIN; LOCK TABLE tenant_a.orders IN ACCESS SHARE MODE')
    await expect(migrateTenant(database, 'a', dir)).rejects.toThrow(/002_late\.sql waited .* in use/)
    await reader.query('COMMIT')
    reader.release()
    expect((await migrateTenant(database, 'a', dir)).files).toEqual(['002_late.sql'])
  })

  it('does not hide that a schema is gone', async () => {
    await migratePublic(database, dir)
    await addTenants('a')
    await migrateTenant(database, 'a', dir)
    await database.query('DROP SCHEMA tenant_a CASCADE')
    await expect(migrateTenant(database, 'a', dir)).rejects.toThrow(/the schema is gone/)
    expect((await migrationStatus(database, dir))[1]).toMatchObject({ slug: 'a', intact: false })
  })
})

describe('migrateTenants', () => {
  beforeEach(async () => {
    await migratePublic(database, dir)
    await addTenants('a', 'b', 'c', 'd', 'e')
  })

  it('brings all up to date, and with nothing to do touches no tenant', async () => {
    const seen: string[] = []
    const onResult = ({ slug }: TenantMigration) => seen.push(slug)
    expect(await migrateTenants(database, dir, { jobs: 3, onResult })).toEqual({
      upToDate: 0,
      migrated: 5,
      failed: [],
    })
    expect(seen.sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
    const counted = countConnections()
    expect(await migrateTenants(database, dir, { onResult })).toEqual({
      upToDate: 5,
      migrated: 0,
      failed: [],
    })
    expect(counted()).toBe(1)
    expect(seen).toHaveLength(5)
  })

  it('reports a tenant that fails and goes on with the others', async () => {
    await migrateTenants(database, dir)
    await database.query('CREATE TABLE tenant_b.refunds (id int)')
    await file('tenant/002_refunds.sql', 'CREATE TABLE refunds (id text);')
    const results: TenantMigration[] = []
    const answer = await migrateTenants(database, dir, {
      jobs: 2,
      onResult: (result) => results.push(result),
    })
    expect(answer).toMatchObject({
      upToDate: 0,
      migrated: 4,
      failed: [{ slug: 'b', schema: 'tenant_b', files: [] }],
    })
    expect(answer.failed[0]!.error).toBeInstanceOf(MigrationError)
    expect(answer.failed[0]!.error!.message).toMatch(
      /002_refunds\.sql failed in tenant_b: relation "refunds" already/,
    )
    expect(results).toHaveLength(5)
    const status = await migrationStatus(database, dir)
    expect(status.map(({ slug, pending }) => [slug, pending.length])).toEqual([
      [null, 0],
      ['a', 0],
      ['b', 1],
      ['c', 0],
      ['d', 0],
      ['e', 0],
    ])
    await database.query('DROP TABLE tenant_b.refunds')
    expect(await migrateTenants(database, dir)).toEqual({ upToDate: 4, migrated: 1, failed: [] })
  })

  it('refuses a file that was changed, for every tenant that has it', async () => {
    await migrateTenants(database, dir, { only: ['a', 'b'] })
    await file('tenant/001_orders.sql', 'CREATE TABLE orders (id bigint PRIMARY KEY);')
    const { migrated, failed } = await migrateTenants(database, dir)
    expect(migrated).toBe(3)
    expect(failed.map(({ slug }) => slug).sort()).toEqual(['a', 'b'])
    expect(failed.map(({ error }) => error!.message).sort()[0]).toMatch(
      /001_orders\.sql was changed .* tenant_a/,
    )
    const [, a] = await migrationStatus(database, dir)
    expect(a!.drifted.map(({ name }) => name)).toEqual(['001_orders.sql'])
  })

  it('takes only the tenants it is given, and answers what it would do', async () => {
    await expect(migrateTenants(database, dir, { only: ['a', 'nobody'] })).rejects.toThrow(UnknownTenantError)
    const would: TenantMigration[] = []
    await migrateTenants(database, dir, {
      only: ['a'],
      dryRun: true,
      onResult: (result) => would.push(result),
    })
    expect(would).toMatchObject([{ slug: 'a', files: ['001_orders.sql'], error: null }])
    expect(await tables('tenant_a')).toEqual([])
    expect(await migrateTenants(database, dir, { only: ['a'] })).toMatchObject({ migrated: 1 })
    expect(await tables('tenant_b')).toEqual([])
  })

  it('makes a role again that is missing, as after a restore into another database', async () => {
    await migrateTenants(database, dir)
    const role = await roleOf('c')
    await database.script(`DROP OWNED BY ${role}; DROP ROLE ${role}`).catch(async () => {
      // Without INHERIT the login has not the role's own rights.
      await database.script(
        `REVOKE ALL ON SCHEMA tenant_c FROM ${role}; REVOKE ALL ON ALL TABLES IN SCHEMA tenant_c FROM ${role}; DROP ROLE ${role}`,
      )
    })
    const results: TenantMigration[] = []
    const answer = await migrateTenants(database, dir, { onResult: (result) => results.push(result) })
    expect(answer).toEqual({ upToDate: 4, migrated: 1, failed: [] })
    expect(results).toMatchObject([{ slug: 'c', files: [], repaired: true }])
    expect(await roleOf('c')).toBe(role)
  })

  it('gives rights back that a restore without privileges has lost', async () => {
    await migrateTenants(database, dir)
    await database.script(`REVOKE ALL ON SCHEMA tenant_d FROM ${await roleOf('d')}`)
    expect((await migrationStatus(database, dir)).filter(({ intact }) => !intact)).toMatchObject([
      { slug: 'd' },
    ])
    expect(await migrateTenants(database, dir)).toMatchObject({ upToDate: 4, migrated: 1 })
    expect((await migrationStatus(database, dir)).every(({ intact }) => intact)).toBe(true)
  })

  it('does the work of one tenant once when two run at the same time', async () => {
    const other = openDatabase()
    const answers = await Promise.all([migrateTenants(database, dir), migrateTenants(other, dir)])
    expect(answers.flatMap(({ failed }) => failed)).toEqual([])
    await other.close()
  })

  async function roleOf(slug: string): Promise<string> {
    const { rows } = await database.query<{ role: string }>(
      `SELECT r.rolname::text AS role FROM pg_namespace n, aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE n.nspname = 'tenant_' || $1::text AND r.rolname LIKE 'tenant\\_%'`,
      [slug],
    )
    return rows[0]!.role
  }
})
