/** The checks of what tenants have: migrations, drift, roles, credentials, holds. Each is broken for real, and mended. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { readCredentialRows, versionOf } from '../../src/credentials/rows.ts'
import { storeCredentials } from '../../src/credentials/store.ts'
import type { Database } from '../../src/db/database.ts'
import { platformTransaction } from '../../src/db/platform-transaction.ts'
import { credentials } from '../../src/doctor/credentials.ts'
import { drift } from '../../src/doctor/drift.ts'
import { holds } from '../../src/doctor/holds.ts'
import { migrations } from '../../src/doctor/migrations.ts'
import { tenantRoles } from '../../src/doctor/tenant-roles.ts'
import { placeHold } from '../../src/holds/place.ts'
import { openPatient, type Patient, roleOf, said } from './kit.ts'

let patient: Patient
let database: Database
let tenantId: string
let schema: string
beforeAll(async () => {
  patient = await openPatient()
  database = patient.database
})
beforeEach(async () => {
  tenantId = await patient.platform.tenant()
  schema = `tenant_${tenantId}`
})
afterAll(() => patient[Symbol.asyncDispose]())

/** What a test has broken is mended by the next ones: by taking the tenant away. */
async function lookAndForget(check: Parameters<Patient['look']>[0]) {
  const findings = await patient.look(check)
  await database.query('DELETE FROM public.organizations WHERE slug = $1', [tenantId])
  return findings
}

describe('migrations', () => {
  test('everybody has all', async () => {
    expect(said(await patient.look(migrations))).toEqual([
      ['ok', expect.stringMatching(/^The platform and \d+ tenants? have all migrations of this release\.$/)],
    ])
  })

  test('a pending one, an edited one, and those of a newer release', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cgk-doctor-'))
    await cp(new URL('../../migrations', import.meta.url), folder, { recursive: true })
    const { rows } = await database.query<{ number: number; name: string }>(
      'SELECT max(number) AS number FROM public.platform_migrations WHERE schema_name = $1',
      [schema],
    )
    const next = String(rows[0]!.number + 1).padStart(3, '0')
    await writeFile(join(folder, 'tenant', `${next}_more.sql`), 'SELECT 1')
    await writeFile(join(folder, 'public', '002_feature_flags.sql'), 'SELECT 2')
    await database.query(
      `INSERT INTO public.platform_migrations (schema_name, number, name, checksum) VALUES ($1, 990, '990_x.sql', 'x')`,
      [schema],
    )
    const findings = await patient.look(migrations, { migrationsDir: folder })
    await rm(folder, { recursive: true })
    await database.query('DELETE FROM public.platform_migrations WHERE number = 990')
    expect(said(findings)).toEqual([
      ['problem', expect.stringMatching(new RegExp(`lacks? migrations of this release: .*${schema}`))],
      ['problem', 'Migrations were changed after they were applied to public.'],
      ['warning', `A newer release has migrated ${schema}.`],
    ])
  })

  test('a schema that is gone', async () => {
    await database.query(`DROP SCHEMA ${schema} CASCADE`)
    expect(said(await lookAndForget(migrations))).toEqual([
      ['problem', `The schema, the role or its grants are missing for ${schema}.`],
    ])
  })

  test('a role that is gone', async () => {
    await database.query(`DROP OWNED BY ${await roleOf(database, tenantId)}`).catch(() => {})
    await database.query(`REVOKE ALL ON SCHEMA ${schema} FROM ${await roleOf(database, tenantId)}`)
    expect(said(await lookAndForget(migrations))).toEqual([
      ['problem', expect.stringContaining(`missing for ${schema}`)],
    ])
  })
})

describe('drift', () => {
  test('all tables are what the migrations make, and looking leaves nothing behind', async () => {
    expect(said(await patient.look(drift))).toEqual([
      ['ok', expect.stringMatching(/are what the migrations make\.$/)],
    ])
    const { rows } = await database.query(
      `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'cgk_reference%'`,
    )
    expect(rows).toEqual([])
  })

  test.each([
    ['ALTER TABLE orders DROP COLUMN status', 'column orders.status is missing'],
    ["ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'x'", 'column orders.status is another'],
    ['ALTER TABLE email_queue ALTER COLUMN status TYPE varchar(20)', 'column email_queue.status is another'],
    ['DROP TABLE payouts CASCADE', 'table payouts is missing'],
    ['ALTER TABLE orders ENABLE ROW LEVEL SECURITY', 'table orders is another'],
    ['ALTER TABLE orders DISABLE TRIGGER USER', 'trigger orders.\\w+ is another'],
  ])('%s', async (statement, found) => {
    await inSchema(statement)
    expect(said(await lookAndForget(drift))).toContainEqual([
      'problem',
      expect.stringMatching(new RegExp(`^${schema} is not what the migrations make: .*${found}`)),
    ])
  })

  test('an index and a constraint that are gone', async () => {
    const { rows } = await database.query<{ drop: string; name: string }>(
      `SELECT * FROM (
         SELECT 'DROP INDEX ' || indexrelid::regclass AS drop, 'index ' || c.relname AS name
         FROM pg_index i JOIN pg_class c ON c.oid = indexrelid
         WHERE c.relnamespace = $1::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
         ORDER BY c.relname LIMIT 1) AS index
       UNION ALL SELECT * FROM (
         SELECT 'ALTER TABLE ' || conrelid::regclass || ' DROP CONSTRAINT ' || conname, 'constraint ' || c.relname || '.' || conname
         FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
         WHERE c.relnamespace = $1::regnamespace AND contype = 'c' ORDER BY conname LIMIT 1) AS constraint_`,
      [schema],
    )
    for (const { drop } of rows) await database.query(drop)
    const [[state, found]] = said(await lookAndForget(drift)) as [[string, string]]
    expect(state).toBe('problem')
    for (const { name } of rows) expect(found).toContain(`${name} is missing`)
  })

  test('what no migration makes is a warning', async () => {
    await inSchema('CREATE TABLE by_hand (id bigint)')
    expect(said(await lookAndForget(drift))).toEqual([
      ['warning', `${schema} has what no migration makes: table by_hand.`],
    ])
  })

  test('of many tenants a few are told in detail', async () => {
    const slugs = [tenantId]
    for (let more = 0; more < 6; more += 1) slugs.push(await patient.platform.tenant())
    for (const slug of slugs) await database.query(`ALTER TABLE tenant_${slug}.orders DROP COLUMN status`)
    const findings = await patient.look(drift)
    await database.query('DELETE FROM public.organizations WHERE slug = ANY ($1)', [slugs])
    expect(findings).toHaveLength(6)
    expect(findings.at(-1)!.found).toMatch(/^2 other schemas differ from the migrations: tenant_/)
  })

  async function inSchema(statement: string): Promise<void> {
    await platformTransaction(database, async (client) => {
      await client.query(`SET LOCAL search_path = ${schema}, public; ${statement}`)
    })
  }
})

describe('tenant roles', () => {
  test('nobody may do more than is theirs', async () => {
    expect(said(await patient.look(tenantRoles))).toEqual([
      ['ok', expect.stringMatching(/may use their own tables and nothing else\.$/)],
    ])
  })

  test.each([
    ['GRANT SELECT ON public.users TO $role', 'SELECT on public.users'],
    ['GRANT SELECT (email) ON public.users TO $role', 'SELECT of a column on public.users'],
    ['GRANT INSERT ON public.platform_holds TO $role', 'INSERT on public.platform_holds'],
    ['GRANT TRUNCATE ON $schema.orders TO $role', 'TRUNCATE on $schema.orders'],
    ['GRANT CREATE ON SCHEMA $schema TO $role', 'CREATE on the schema $schema'],
    ['GRANT USAGE ON SCHEMA pgboss TO $role', 'USAGE on the schema pgboss'],
    ['ALTER ROLE $role LOGIN', 'log in'],
    ['ALTER ROLE $role CREATEROLE', 'create roles'],
  ])('%s', async (statement, may) => {
    await database.query(await filledIn(statement))
    const findings = await lookAndForget(tenantRoles)
    expect(said(findings)).toEqual([
      [
        'problem',
        `Roles of tenants may do what they must not: ${tenantId}: ${may.replace('$schema', schema)}.`,
      ],
    ])
  })

  test('one that is a member of another', async () => {
    const other = await patient.platform.tenant()
    await database.query(`GRANT ${await roleOf(database, other)} TO ${await roleOf(database, tenantId)}`)
    expect(said(await lookAndForget(tenantRoles))).toEqual([
      ['problem', expect.stringContaining(`${tenantId}: everything that tenant_${other}_`)],
    ])
  })

  test('what everybody may', async () => {
    await database.query('GRANT SELECT ON public.platform_attempts TO PUBLIC')
    const findings = await patient.look(tenantRoles)
    await database.query('REVOKE SELECT ON public.platform_attempts FROM PUBLIC')
    expect(said(findings)).toEqual([
      ['problem', expect.stringContaining('everybody: SELECT on public.platform_attempts')],
    ])
  })

  test('a table that an app shares with its tenants is its own affair', async () => {
    await database.query('CREATE TABLE public.currencies (code text)')
    await database.query(await filledIn('GRANT SELECT ON public.currencies TO $role'))
    expect(said(await lookAndForget(tenantRoles))).toEqual([['ok', expect.any(String)]])
  })

  test('one that lacks a right on a table of its own', async () => {
    await database.query(await filledIn('REVOKE DELETE ON $schema.orders FROM $role'))
    expect(said(await lookAndForget(tenantRoles))).toEqual([
      ['problem', `Tenants lack rights on tables of their own: ${schema}.orders.`],
    ])
  })

  async function filledIn(statement: string): Promise<string> {
    return statement.replace('$role', await roleOf(database, tenantId)).replace('$schema', schema)
  }
})

describe('credentials', () => {
  const [current, other] = ['d'.repeat(64), 'e'.repeat(64)]
  const secret = 'sk_test_doctor0123456789'
  const set = async (encryptionKeys: string) => {
    const { keys } = patient.subject({ encryptionKeys })
    await storeCredentials({ database, keys }, tenantId, 'stripe', { secret_key: secret }, ['secret_key'])
  }

  test('all can be decrypted', async () => {
    expect(said(await patient.look(credentials, { encryptionKeys: current }))).toEqual([
      ['ok', 'No tenant has credentials yet.'],
    ])
    await set(current)
    expect(said(await patient.look(credentials, { encryptionKeys: current }))).toEqual([
      ['ok', '1 credential can be decrypted.'],
    ])
  })

  test('with the wrong key, and with none', async () => {
    for (const encryptionKeys of [other, '']) {
      const findings = await patient.look(credentials, { encryptionKeys })
      expect(said(findings)).toEqual([
        ['problem', expect.stringMatching(/^1 credential cannot be decrypted: stripe secret_key of test_/)],
      ])
      expect(JSON.stringify(findings)).not.toContain(secret)
    }
  })

  test('a key that is no longer needed, and one that still is', async () => {
    const [idle] = await patient.look(credentials, { encryptionKeys: `${current},${other}` })
    expect(idle).toMatchObject({ state: 'warning', found: expect.stringContaining('is encrypted with') })
    const [needed] = await patient.look(credentials, { encryptionKeys: `${other},${current}` })
    expect(needed).toMatchObject({ state: 'warning', todo: 'Run: cgk credential:rotate' })
    for (const { found } of [idle!, needed!]) expect(found).not.toMatch(/d{64}|e{64}/)
  })

  test('one that a provider has refused, and the hold that stands because of it', async () => {
    await set(current)
    const rows = await readCredentialRows(database, tenantId, 'stripe')
    expect(said(await patient.look(holds))).toEqual([['ok', 'Nothing is held.']])
    await placeHold(database, {
      tenantId,
      service: 'stripe',
      reason: 'refused',
      code: 'unauthorized',
      message: 'no',
      endsAfterMs: null,
      credentialVersion: versionOf(rows),
    })
    expect(said(await patient.look(credentials, { encryptionKeys: current }))).toEqual([
      ['warning', `Providers have refused stripe of ${tenantId}.`],
    ])
    expect(said(await patient.look(holds))).toEqual([
      ['warning', `Runs wait (refused) for stripe of ${tenantId}.`],
    ])
  })
})
