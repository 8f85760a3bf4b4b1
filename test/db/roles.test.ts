import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { platformTransaction } from '../../src/db/platform-transaction.ts'
import { dropRole, ensureRole, readServer, roleName } from '../../src/db/roles.ts'
import { DatabaseSetupError } from '../../src/errors.ts'
import { createTenant } from '../../src/tenants/create.ts'
import { openPlatform, openProcess } from '../tenants/platform.ts'

let platform: Awaited<ReturnType<typeof openPlatform>>

beforeAll(async () => {
  platform = await openPlatform()
  await createTenant(platform, 'a')
  await createTenant(platform, 'b')
  await platform.database.script(
    'CREATE SCHEMA pgboss; CREATE TABLE pgboss.job (id int); CREATE SEQUENCE pgboss.s',
  )
})

afterAll(async () => {
  await platform.close()
})

/** The SQLSTATE a statement of tenant a ends with. */
async function refusal(text: string): Promise<string | undefined> {
  const { database } = platform
  const error = await database
    .withTenant('a', () => database.sql([text] as unknown as TemplateStringsArray))
    .then(
      () => undefined,
      (reason: unknown) => reason,
    )
  return error instanceof pg.DatabaseError ? error.code : (error as undefined)
}

async function tablesOf(schema: string): Promise<string[]> {
  const { rows } = await platform.database.query<{ name: string }>(
    `SELECT format('%I.%I', $1::text, relname) AS name FROM pg_class
      WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'v', 'm', 'p')`,
    [schema],
  )
  expect(rows.length).toBeGreaterThan(0)
  return rows.map(({ name }) => name)
}

describe('the role of a tenant', () => {
  it('reads and writes the rows of its own tables', async () => {
    for (const table of await tablesOf('tenant_a')) {
      expect([table, await refusal(`SELECT * FROM ${table}`)]).toEqual([table, undefined])
      expect([table, await refusal(`DELETE FROM ${table}`)]).toEqual([table, undefined])
    }
  })

  it.each(['tenant_b', 'public', 'pgboss'])('is refused every table of %s', async (schema) => {
    for (const table of await tablesOf(schema)) {
      for (const statement of [
        `SELECT * FROM ${table}`,
        `DELETE FROM ${table}`,
        `INSERT INTO ${table} DEFAULT VALUES`,
      ]) {
        expect([statement, await refusal(statement)]).toEqual([statement, '42501'])
      }
    }
  })

  it.each([
    'CREATE TABLE mine (id int)',
    'CREATE TABLE public.mine (id int)',
    'CREATE SCHEMA mine',
    'ALTER TABLE orders ADD COLUMN mine int',
    'DROP TABLE orders',
    'TRUNCATE orders CASCADE',
    'CREATE ROLE mine',
    "SELECT nextval('pgboss.s')",
  ])('may not %s', async (statement) => {
    expect(await refusal(statement)).toBe('42501')
  })

  it('cannot log in, and is nobody who may make roles or databases', async () => {
    const { databaseOid } = await readServer(platform.database)
    const { rows } = await platform.database.query(
      'SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles WHERE rolname = $1',
      [roleName('a', databaseOid)],
    )
    expect(rows).toEqual([
      { rolcanlogin: false, rolsuper: false, rolcreaterole: false, rolcreatedb: false, rolbypassrls: false },
    ])
  })
})

describe('roleName', () => {
  it('stays within 63 bytes for the longest slug and the largest oid', () => {
    expect(roleName('s'.repeat(48), 2 ** 32 - 1)).toHaveLength(63)
  })
})

describe('ensureRole', () => {
  it('may be repeated, and makes no second membership', async () => {
    const { database } = platform
    const server = await readServer(database)
    const role = roleName('a', server.databaseOid)
    const memberships = async () => {
      const { rows } = await database.query<{ count: number }>(
        'SELECT count(*)::int FROM pg_auth_members WHERE roleid = to_regrole($1)::oid',
        [role],
      )
      return rows[0]!.count
    }
    const before = await memberships()
    await platformTransaction(database, (client) => ensureRole(client, server, role))
    expect(await memberships()).toBe(before)
  })

  it('is undone with its transaction, and survives a race for one role', async () => {
    const { database } = platform
    const server = await readServer(database)
    const role = roleName('ghost', server.databaseOid)
    const exists = async () =>
      (await database.query('SELECT FROM pg_roles WHERE rolname = $1', [role])).rowCount === 1
    const undone = platformTransaction(database, async (client) => {
      await ensureRole(client, server, role)
      throw new Error('undone')
    })
    await expect(undone).rejects.toThrow('undone')
    expect(await exists()).toBe(false)
    const race = [1, 2, 3].map(() =>
      platformTransaction(database, (client) => ensureRole(client, server, role)),
    )
    await Promise.all(race)
    expect(await exists()).toBe(true)
    await platformTransaction(database, (client) => dropRole(client, server, role))
    await platformTransaction(database, (client) => dropRole(client, server, role))
    expect(await exists()).toBe(false)
  })

  it('says which right the login lacks', async () => {
    const { database } = platform
    const login = `weak_${randomBytes(6).toString('hex')}`
    await database.script(`CREATE ROLE ${login} LOGIN PASSWORD 'weak'`)
    const url = Object.assign(new URL(platform.url), { username: login, password: 'weak' })
    const weak = openProcess(url.href)
    const server = await readServer(weak.database)
    const refused = platformTransaction(weak.database, (client) =>
      ensureRole(client, server, 'tenant_weak_x'),
    )
    await expect(refused).rejects.toThrow(DatabaseSetupError)
    await expect(refused).rejects.toThrow(/ALTER ROLE <login> CREATEROLE/)
    await weak.database.close()
    await database.script(`DROP ROLE ${login}`)
  })
})

describe('dropRole', () => {
  it('takes the rights here, and leaves a role that a restored copy still names', async () => {
    const copy = await openPlatform()
    const server = await readServer(platform.database)
    const role = roleName('copied', server.databaseOid)
    await platformTransaction(platform.database, (client) => ensureRole(client, server, role))
    const grant = (schema: string) => `CREATE SCHEMA ${schema}; GRANT USAGE ON SCHEMA ${schema} TO ${role}`
    await platform.database.script(grant('here'))
    await copy.database.script(grant('there'))
    await platformTransaction(platform.database, (client) => dropRole(client, server, role))
    const { rows } = await platform.database.query(
      "SELECT has_schema_privilege($1, 'here', 'USAGE') AS here",
      [role],
    )
    expect(rows).toEqual([{ here: false }])
    await copy.close()
    await platformTransaction(platform.database, (client) => dropRole(client, server, role))
  })
})
