import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks } from './cgk.ts'

let database: TestDatabase
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  await cgk(['migrate'], env)
})
afterAll(() => database.drop())

describe('tenant:create', () => {
  test('makes the tenant: row, schema, tables', async () => {
    const created = await cgk(
      ['tenant:create', 'made', '--name', 'Made Here', '--timezone', 'Europe/Berlin'],
      env,
    )
    expect(created).toMatchObject({ code: 0, stderr: '' })
    expect(created.stdout).toBe('Created tenant made ("Made Here", Europe/Berlin) in schema tenant_made.\n')
    expect(
      await query('SELECT name, timezone, status FROM public.organizations WHERE slug = $1', ['made']),
    ).toEqual([{ name: 'Made Here', timezone: 'Europe/Berlin', status: 'active' }])
    expect(await query('SELECT count(*)::int AS orders FROM tenant_made.orders')).toEqual([{ orders: 0 }])
  })

  test('makes the slug of the name when there is none', async () => {
    const created = await cgk(['tenant:create', '--name', 'Café Zürich & Co.'], env)
    expect(created).toMatchObject({ code: 0 })
    expect(created.stdout).toContain('tenant cafe_zurich_co ("Café Zürich & Co.", UTC)')
  })

  test('--dry-run checks and makes nothing', async () => {
    const [fine, taken] = await Promise.all([
      cgk(['tenant:create', 'only_thought', '--dry-run'], env),
      cgk(['tenant:create', 'only_thought', '--timezone', 'Mars/Crater', '--dry-run'], env),
    ])
    expect(fine).toMatchObject({ code: 0 })
    expect(fine.stdout).toMatch(
      /^Would create tenant only_thought .*001_commerce\.sql.*Nothing was made\.\n$/,
    )
    expect(taken).toMatchObject({ code: 1, stdout: '' })
    expect(taken.stderr).toMatch(/"Mars\/Crater" is not a time zone.*\(CONFIG_INVALID\)\n$/)
    expect(await query("SELECT FROM public.organizations WHERE slug = 'only_thought'")).toEqual([])
    expect(await query("SELECT FROM pg_namespace WHERE nspname = 'tenant_only_thought'")).toEqual([])
  })

  test('refuses a name that would drive the terminal, and a rehearsal refuses it too', async () => {
    const args = ['tenant:create', 'coloured', '--name', '\u001b[31mred']
    for (const ended of await Promise.all([cgk(args, env), cgk([...args, '--dry-run'], env)])) {
      expect(ended).toMatchObject({
        code: 1,
        stdout: '',
        stderr: sentence('without control characters', 'TENANT_NAME_INVALID'),
      })
    }
  })

  test('refuses a bad slug, a taken one, and nothing at all', async () => {
    await cgk(['tenant:create', 'taken'], env)
    const [bad, taken, takenDry, nothing, unnameable] = await Promise.all([
      cgk(['tenant:create', 'Bad-Slug'], env),
      cgk(['tenant:create', 'taken'], env),
      cgk(['tenant:create', 'taken', '--dry-run'], env),
      cgk(['tenant:create'], env),
      cgk(['tenant:create', '--name', '日本'], env),
    ])
    expect(bad).toMatchObject({
      code: 1,
      stderr: sentence('"Bad-Slug" is not a tenant slug', 'TENANT_SLUG_INVALID'),
    })
    expect(taken).toMatchObject({ code: 1, stderr: sentence('"taken" exists already', 'TENANT_EXISTS') })
    expect(takenDry).toMatchObject({ code: 1, stderr: sentence('"taken" exists already', 'TENANT_EXISTS') })
    expect(nothing).toMatchObject({ code: 2, stderr: expect.stringContaining('give a slug, or a --name') })
    expect(unnameable).toMatchObject({
      code: 1,
      stderr: sentence('"日本" is not a tenant slug', 'TENANT_SLUG_INVALID'),
    })
  })
})

test('tenant:list shows every tenant, for people and for programs', async () => {
  await cgk(['tenant:create', 'listed', '--name', 'Listed'], env)
  const [text, json] = await Promise.all([
    cgk(['tenant:list'], env),
    cgkJson<{ slug: string; status: string }[]>(['tenant:list'], env),
  ])
  expect(text.stdout).toMatch(/^tenant +name +status +timezone +created\n/)
  expect(text.stdout).toMatch(/^listed +Listed +active +UTC +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/m)
  expect(json.find(({ slug }) => slug === 'listed')).toMatchObject({ name: 'Listed', status: 'active' })
})

test('a suspended tenant is refused work until it is resumed', async () => {
  await cgk(['tenant:create', 'paused'], env)
  const trigger = ['trigger', 'work/wait', '--payload', '{"tenantId":"paused","ms":1}']

  expect(await cgk(['tenant:suspend', 'paused'], env)).toMatchObject({ code: 0 })
  expect(await cgk(trigger, env)).toMatchObject({
    code: 1,
    stdout: '',
    stderr: sentence('suspended', 'TENANT_SUSPENDED'),
  })
  expect(await cgk(['tenant:resume', 'paused'], env)).toMatchObject({ code: 0 })
  expect(await cgk(trigger, env)).toMatchObject({ code: 0 })

  const [suspend, resume] = await Promise.all([
    cgk(['tenant:suspend', 'nobody'], env),
    cgk(['tenant:resume', 'nobody'], env),
  ])
  expect(suspend).toMatchObject({
    code: 1,
    stderr: sentence('There is no tenant "nobody"', 'TENANT_UNKNOWN'),
  })
  expect(resume).toMatchObject({ code: 1, stderr: sentence('There is no tenant "nobody"', 'TENANT_UNKNOWN') })
})

test('tenant:delete says what it would delete, refuses open runs, and then deletes', async () => {
  await cgk(['tenant:create', 'doomed'], env)
  await cgk(['trigger', 'work/wait', '--payload', '{"tenantId":"doomed","ms":1}'], env)

  const asked = await cgk(['tenant:delete', 'doomed'], env)
  expect(asked).toMatchObject({ code: 1, stderr: '' })
  expect(asked.stdout).toMatch(
    /schema tenant_doomed with \d+ tables \(.+\).*\n.*1 of them is open\n.*--yes --force/,
  )
  expect(await cgk(['tenant:delete', 'doomed', '--yes'], env)).toMatchObject({
    code: 1,
    stderr: sentence('has 1 open run', 'TENANT_HAS_OPEN_RUNS'),
  })
  expect(await query("SELECT slug FROM public.organizations WHERE slug = 'doomed'")).toHaveLength(1)

  expect(await cgk(['tenant:delete', 'doomed', '--yes', '--force'], env)).toMatchObject({
    code: 0,
    stdout: 'Deleted tenant doomed.\n',
  })
  expect(await query("SELECT FROM pg_namespace WHERE nspname = 'tenant_doomed'")).toEqual([])
  expect(await cgk(['tenant:delete', 'doomed'], env)).toMatchObject({
    code: 1,
    stderr: sentence('There is no tenant "doomed"', 'TENANT_UNKNOWN'),
  })
})

/** One line that ends with the code: no stack. */
function sentence(part: string, code: string): unknown {
  const escaped = part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return expect.stringMatching(new RegExp(`^cgk: .*${escaped}.* \\(${code}\\)\\n$`))
}

async function query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: database.url })
  try {
    await client.connect()
    return (await client.query(text, values)).rows
  } finally {
    await client.end()
  }
}
