import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment } from './cgk.ts'

interface Status {
  schema: string
  applied: string[]
  pending: string[]
  drifted: string[]
}

let database: TestDatabase
let migrations: string
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  migrations = await mkdtemp(join(tmpdir(), 'cgk-cli-migrations-'))
  await cp(new URL('../../migrations', import.meta.url), migrations, { recursive: true })
  env = { DATABASE_URL: database.url, JOBS_MIGRATIONS_DIR: migrations, JOBS_MIGRATE: 'off' }
})
afterAll(async () => {
  await database.drop()
  await rm(migrations, { recursive: true })
})

/** One story: each step stands on the one before. */
test('a database from empty over pending to drifted', async () => {
  // Empty. Asking and rehearsing change nothing.
  const [dry, before] = await Promise.all([cgk(['migrate', '--dry-run'], env), status()])
  expect(dry).toMatchObject({ code: 0, stderr: '' })
  expect(dry.stdout).toMatch(
    /^public +would apply 001_tenants_and_people\.sql.*\npgboss +would make version \d+\nNo tenants yet\.\n$/,
  )
  expect(before).toMatchObject([
    { schema: 'public', applied: [], pending: expect.arrayContaining(['001_tenants_and_people.sql']) },
    { schema: 'pgboss', applied: [], pending: [expect.stringMatching(/^version \d+$/)] },
  ])
  expect(await cgk(['migrate', '--tenant', 'one'], env)).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Run: cgk migrate --public-only (MIGRATION_FAILED)'),
  })

  // Migrated. With JOBS_MIGRATE=off the platform now works, so nothing was forgotten.
  const first = await cgk(['migrate', '--public-only'], env)
  expect(first).toMatchObject({ code: 0, stderr: '' })
  expect(first.stdout).toMatch(/^public +applied 001_.*\npgboss +made, version \d+\n$/)
  for (const slug of ['one', 'two', 'three']) {
    expect(await cgk(['tenant:create', slug], env)).toMatchObject({ code: 0, stderr: '' })
  }
  const idle = await cgk(['migrate'], env)
  expect(idle.stdout).toMatch(
    /^public +up to date\npgboss +up to date\nTenants: 0 migrated, 3 up to date, 0 failed\.\n$/,
  )

  const there = (await readdir(join(migrations, 'tenant'))).length
  const next = `${String(there + 1).padStart(3, '0')}_notes`
  const said = (line: string) =>
    expect.stringMatching(new RegExp(line.replaceAll('NEXT', `${next}\\.sql`), 'm'))
  // A new file: pending everywhere, applied to one, then to all; the one it does not fit fails alone.
  await writeFile(join(migrations, 'tenant', '099_gap.sql'), 'SELECT 1;')
  expect(await cgk(['migrate'], env)).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^cgk: .*099_gap.*\n$/),
  })
  await rm(join(migrations, 'tenant', '099_gap.sql'))
  await writeFile(
    join(migrations, 'tenant', `${next}.sql`),
    "CREATE TABLE notes (id text PRIMARY KEY);\nSELECT 1 / (current_schema() <> 'tenant_three')::int;",
  )
  const pending = await cgk(['migrate:status'], env)
  expect(pending).toMatchObject({ code: 0, stderr: '' })
  expect(pending.stdout).toEqual(said(`^tenant_one +${there} +1 +0 +pending: NEXT$`))

  const one = await cgk(['migrate', '--tenant', 'one'], env)
  expect(one).toMatchObject({ code: 0, stderr: '' })
  expect(one.stdout).toEqual(
    said('^tenant_one +applied NEXT \\(\\d+ ms\\)\\nTenants: 1 migrated, 0 up to date, 0 failed\\.\\n$'),
  )

  const all = await cgk(['migrate', '--jobs', '2'], env)
  expect(all).toMatchObject({ code: 1, stderr: '' })
  expect(all.stdout).toEqual(said('^tenant_two +applied NEXT'))
  expect(all.stdout).toEqual(said('^tenant_three +FAILED: NEXT failed in tenant_three.*division by zero'))
  expect(all.stdout).toMatch(/^Tenants: 1 migrated, 1 up to date, 1 failed\.$/m)
  expect(find(await status(), 'tenant_three')).toMatchObject({ pending: [`${next}.sql`], drifted: [] })

  // Changed after it was applied: refused, and status says so with its exit code.
  await writeFile(join(migrations, 'tenant', `${next}.sql`), 'CREATE TABLE notes (id bigint PRIMARY KEY);')
  const [drifted, refused] = await Promise.all([
    cgk(['migrate:status'], env),
    cgk(['migrate', '--tenant', 'one'], env),
  ])
  expect(drifted).toMatchObject({ code: 1, stderr: '' })
  expect(drifted.stdout).toEqual(said(`^tenant_one +${there + 1} +0 +1 +drifted: NEXT$`))
  expect(refused).toMatchObject({ code: 1 })
  expect(refused.stdout).toEqual(said('^tenant_one +FAILED: NEXT was changed'))
})

test('options that exclude each other, and what cannot be a tenant', async () => {
  const [both, jobs, slug] = await Promise.all([
    cgk(['migrate', '--all', '--tenant', 'one'], env),
    cgk(['migrate', '--jobs', '0'], env),
    cgk(['migrate', '--tenant', 'Bad Slug'], { ...env, DATABASE_URL: 'postgres://jobs@127.0.0.1:1/jobs' }),
  ])
  expect(slug).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^cgk: "Bad Slug" is not a tenant slug.*\(TENANT_SLUG_INVALID\)\n$/),
  })
  expect(both).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('cannot be used with') })
  expect(jobs).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('It must be at least 1.'),
  })
})

async function status(): Promise<Status[]> {
  return await cgkJson<Status[]>(['migrate:status'], env)
}

function find(all: Status[], schema: string): Status | undefined {
  return all.find((one) => one.schema === schema)
}
