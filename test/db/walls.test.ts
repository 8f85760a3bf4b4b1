/** What a tenant's context can reach in the real platform, table by table: its own rows, and nothing else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Database } from '../../src/db/database.ts'
import { readServer, roleName } from '../../src/db/roles.ts'
import { ForbiddenStatementError } from '../../src/errors.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { rejection, sqlState, statement } from './tenants.ts'

let test: TestPlatform
let database: Database
let a: string
let b: string

beforeAll(async () => {
  test = await createTestPlatform({ engine: 'pg-boss', tasks: [] })
  database = (await test.platform.ready()).database
  a = await test.tenant()
  b = await test.tenant()
})

afterAll(async () => {
  await test.close()
})

const inA = (text: string) => database.withTenant(a, () => statement(database, text))
const refusal = (text: string) => sqlState(inA(text))

interface Table {
  name: string
  column: string
}

/** Tables, partitions, views and foreign tables with their first column, all quoted. */
async function tablesOf(schema: string): Promise<Table[]> {
  const { rows } = await database.query<Table>(
    `SELECT format('%I.%I', $1::text, relname) AS name, quote_ident(attname) AS column
       FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum = 1
      WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1`,
    [schema],
  )
  return rows
}

const statementsOn = ({ name, column }: Table) => [
  `SELECT * FROM ${name}`,
  `SELECT ${column} FROM ${name}`,
  `INSERT INTO ${name} DEFAULT VALUES`,
  `UPDATE ${name} SET ${column} = ${column}`,
  `DELETE FROM ${name}`,
  `TRUNCATE ${name}`,
  `LOCK TABLE ${name}`,
]

describe('inside a tenant', () => {
  it.each([
    ['another tenant', () => `tenant_${b}`, 15],
    ['the platform', () => 'public', 8],
    ['the queue', () => 'pgboss', 5],
  ])('every table of %s is closed, for every kind of access: 42501', async (_, schema, atLeast) => {
    const tables = await tablesOf(schema())
    expect(tables.length).toBeGreaterThanOrEqual(atLeast)
    for (const text of tables.flatMap(statementsOn))
      expect([text, await refusal(text)]).toEqual([text, '42501'])
  })

  it("the tables that hold secrets and other tenants' work are among them", async () => {
    const names = [...(await tablesOf('public')), ...(await tablesOf('pgboss'))].map(({ name }) => name)
    for (const table of [
      'organizations',
      'users',
      'api_keys',
      'sessions',
      'platform_attempts',
      'platform_idempotency_keys',
    ]) {
      expect(names).toContain(`public.${table}`)
    }
    expect(names).toContain('pgboss.job')
  })

  it('its own tables are open, but not for TRUNCATE', async () => {
    for (const { name, column } of await tablesOf(`tenant_${a}`)) {
      await inA(`SELECT * FROM ${name}`)
      await inA(`UPDATE ${name} SET ${column} = ${column} WHERE false`)
      await inA(`DELETE FROM ${name}`)
      expect(await refusal(`TRUNCATE ${name}`)).toBe('42501')
    }
  })

  it.each([
    'CREATE TABLE mine (id int)',
    'CREATE TABLE public.mine (id int)',
    'CREATE VIEW mine AS SELECT 1',
    'CREATE SCHEMA mine',
    'CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1',
    'CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql RETURN 1',
    'CREATE INDEX ON orders (id)',
    'ALTER TABLE orders ADD COLUMN mine int',
    'ALTER TABLE orders DISABLE TRIGGER ALL',
    'DROP TABLE orders',
    "COMMENT ON TABLE orders IS 'mine'",
    'CREATE ROLE mine',
    "SELECT pg_read_file('/etc/passwd')",
    'SELECT passwd FROM pg_shadow',
    'SELECT subconninfo FROM pg_subscription',
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
  ])('42501: %s', async (text) => {
    expect(await refusal(text)).toBe('42501')
  })

  it('GRANT gives nothing away', async () => {
    const grants = async () =>
      (
        await database.query('SELECT relacl::text FROM pg_class WHERE oid = to_regclass($1)', [
          `tenant_${a}.orders`,
        ])
      ).rows
    const before = await grants()
    await inA('GRANT SELECT ON orders TO PUBLIC')
    expect(await grants()).toEqual(before)
  })

  it('what others are asking right now is hidden', async () => {
    const { rows } = await inA(
      'SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
    )
    for (const { query } of rows) expect(query).toBe('<insufficient privilege>')
  })

  it('the role of another tenant cannot be taken, in any spelling of one statement', async () => {
    const { databaseOid } = await readServer(database)
    const role = roleName(b, databaseOid)
    for (const text of [
      `SET ROLE ${role}`,
      `SET LOCAL ROLE ${role}`,
      `SET SESSION AUTHORIZATION ${role}`,
      `/* */ sEt\n"role" TO ${role}`,
      `SELECT set_config('role', '${role}', true) FROM orders`,
      `DO $$ BEGIN SET LOCAL ROLE ${role}; END $$`,
      'RESET ROLE',
    ]) {
      expect(await rejection(inA(text))).toBeInstanceOf(ForbiddenStatementError)
    }
  })

  it('a table that was made without a grant is closed, in its own schema too', async () => {
    await database.script(`CREATE TABLE tenant_${a}.later (id int); CREATE TABLE public.later (id int)`)
    expect(await refusal('SELECT * FROM later')).toBe('42501')
    expect(await refusal('SELECT * FROM public.later')).toBe('42501')
    await database.script(`DROP TABLE tenant_${a}.later; DROP TABLE public.later`)
  })
})

describe('the schemas', () => {
  it('have no table name in common with public, so a name without a schema means one table', async () => {
    const { rows } = await database.query(
      `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
          AND relnamespace IN ($1::regnamespace, 'public'::regnamespace) GROUP BY 1 HAVING count(*) > 1`,
      [`tenant_${a}`],
    )
    expect(rows).toEqual([])
  })

  it('have no foreign key from one to another', async () => {
    const crossing = () =>
      database.query<{ crossing: string }>(
        `SELECT conrelid::regclass || ' -> ' || confrelid::regclass AS crossing FROM pg_constraint
           JOIN pg_class AS source ON source.oid = conrelid JOIN pg_class AS target ON target.oid = confrelid
          WHERE contype = 'f' AND source.relnamespace <> target.relnamespace`,
      )
    expect((await crossing()).rows).toEqual([])
    await database.script(`CREATE TABLE public.wrong (id text REFERENCES tenant_${a}.orders)`)
    expect((await crossing()).rows).toHaveLength(1)
    await database.script('DROP TABLE public.wrong')
  })
})
