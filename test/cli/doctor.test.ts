/** `cgk doctor` as a person runs it. What each check finds is tested in test/doctor. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Finding } from '../../src/doctor/finding.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Ended, type Environment, fixtureTasks } from './cgk.ts'

const key = randomBytes(32).toString('base64')

let database: TestDatabase
let env: Environment
const said: string[] = []
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks, INTEGRATION_ENCRYPTION_KEY: key }
  await cgk(['tenant:create', 'shop'], env)
})
afterAll(async () => {
  // Whatever was said in this file, no secret was in it.
  for (const secret of [key, decodeURIComponent(new URL(database.url).password)]) {
    if (secret !== '') expect(said.join('\n')).not.toContain(secret)
  }
  await database.drop()
})

async function doctor(more: Environment = {}): Promise<Ended> {
  const ended = await cgk(['doctor'], { ...env, ...more })
  said.push(ended.stdout, ended.stderr)
  return ended
}

test('warnings are no problem: exit 0, a line for each finding, and what to do below it', async () => {
  const { code, stdout, stderr } = await doctor()
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^ok +database +The database test_\w+ is on Postgres \d+/m)
  expect(stdout).toMatch(/^warning +engine +No worker has been seen.*\n +Start one: cgk worker$/m)
  expect(stdout).toMatch(/\n0 problems, \d warnings?, \d+ ok\.\n$/)
})

test('--json answers the same', async () => {
  const findings = await cgkJson<Finding[]>(['doctor'], env)
  const checks = new Set(findings.map(({ check }) => check))
  expect([...checks]).toEqual([
    ...['configuration', 'database', 'rights', 'clock', 'connections', 'notifications', 'migrations'],
    ...['tenant roles', 'drift', 'engine', 'credentials', 'holds', 'runs'],
  ])
  for (const { state, todo } of findings) expect(todo === null).toBe(state === 'ok')
})

test('a check that cannot look is a problem, and stops no other', async () => {
  await onDatabase('ALTER TABLE public.platform_holds RENAME TO elsewhere')
  const { code, stdout } = await doctor()
  await onDatabase('ALTER TABLE public.elsewhere RENAME TO platform_holds')
  expect(code).toBe(1)
  expect(stdout).toMatch(/^PROBLEM +holds +It could not be looked at: .*platform_holds/m)
  expect(stdout).toMatch(/^ok +runs /m)
})

test('an empty database: what reads its tables is left out', async () => {
  const empty = await createTestDatabase()
  const { code, stdout } = await doctor({ DATABASE_URL: empty.url })
  await empty.drop()
  expect(code).toBe(1)
  expect(stdout).toMatch(/^PROBLEM +migrations .*public\.\n +Run: cgk migrate$/m)
  expect(stdout).not.toMatch(/^\w+ +(tenant roles|drift|engine|credentials|holds|runs) /m)
  expect(stdout).toMatch(/\n1 problem, /)
})

test('before there is a database, what is wrong with the way to it', async () => {
  const [unreachable, invalid] = [
    await doctor({ DATABASE_URL: 'postgres://jobs:hush@127.0.0.1:1/jobs' }),
    await doctor({ JOBS_POOL_SIZE: 'many', INTEGRATION_ENCRYPTION_KEY: 'hush' }),
  ]
  expect(unreachable).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^PROBLEM +database +The database cannot be used: .*ECONNREFUSED/m),
  })
  expect(invalid).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^PROBLEM +configuration .*JOBS_POOL_SIZE.*INTEGRATION_ENCRYPTION_KEY/m),
  })
  for (const { stdout, stderr } of [unreachable, invalid]) expect(stdout + stderr).not.toContain('hush')
})

async function onDatabase(statement: string): Promise<void> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query(statement)
  await client.end()
}
