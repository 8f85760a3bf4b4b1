/**
 * Who may not: the command line is for who has the database. A role that may connect and no more is refused by every
 * command in one sentence, and changes nothing. A command that has no entry here fails here.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, type Environment, fixtureTasks, startCgk } from './cgk.ts'

const id = '00000000-0000-4000-8000-000000000000'
const why = ['--reason', 'curious']

/** Something that each command could do. */
const asked: Record<string, string[]> = {
  worker: [],
  trigger: ['work/fail', '--payload', '{"tenantId":"shop"}'],
  'run:show': [id],
  'run:logs': [id],
  'run:list': [],
  'run:cancel': [id],
  'run:replay': ['--task', 'work/fail', '--yes', ...why],
  'replay:confirm': [id, ...why],
  'replay:list': [],
  'replay:show': [id],
  'replay:stop': [id],
  'audit:list': [],
  'failure:list': [],
  'failure:resolve': ['abc'],
  'failure:ignore': ['abc', '--for', '1h'],
  'failure:reopen': ['abc'],
  'schedule:list': [],
  'schedule:set': ['shop', 'work/fail:some', '--extra', '--cron', '* * * * *'],
  'schedule:run': ['work/fail', '--all'],
  'schedule:pause': ['work/fail'],
  'schedule:resume': ['work/fail'],
  'tenant:create': ['another'],
  'tenant:list': [],
  'tenant:suspend': ['shop'],
  'tenant:resume': ['shop'],
  'tenant:delete': ['shop', '--yes'],
  'credential:set': ['shop', 'resend', 'api_key'],
  'credential:list': ['shop'],
  'credential:verify': ['shop', 'resend'],
  'credential:delete': ['shop', 'resend', 'api_key'],
  'hold:list': [],
  'user:create': ['me@x.test', '--operator', '--password-stdin'],
  'user:list': [],
  'user:password': ['owner@x.test', '--password-stdin'],
  'user:confirm': ['owner@x.test'],
  'user:disable': ['owner@x.test'],
  'user:enable': ['owner@x.test'],
  'key:create': ['mine', '--tenant', 'shop', '--scope', 'runs:read'],
  'key:list': [],
  'key:revoke': [id],
  'credential:rotate': [],
  migrate: [],
  'migrate:status': [],
}

/** No database is asked, or it is one's own; doctor and serve say themselves what is wrong (doctor and health tests). */
const open = ['dev', 'serve', 'credential:key', 'deploy:check', 'doctor', 'help']

let database: TestDatabase
let env: Environment
let role: string
let owner: pg.Client
beforeAll(async () => {
  database = await createTestDatabase()
  await cgk(['tenant:create', 'shop'], { DATABASE_URL: database.url })
  owner = new pg.Client(database.url)
  await owner.connect()
  role = `stranger_${randomBytes(4).toString('hex')}`
  const password = randomBytes(8).toString('hex')
  await owner.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`)
  // So that the platform starts, and it is the command that is refused.
  await owner.query(`GRANT USAGE ON SCHEMA pgboss TO ${role}; GRANT SELECT ON pgboss.version TO ${role}`)
  const url = new URL(database.url)
  Object.assign(url, { username: role, password })
  env = {
    DATABASE_URL: url.href,
    JOBS_TASKS: fixtureTasks,
    JOBS_MIGRATE: 'off',
    INTEGRATION_ENCRYPTION_KEY: '0'.repeat(64),
  }
}, 60_000)
afterAll(async () => {
  await owner.query(
    `REVOKE ALL ON pgboss.version FROM ${role}; REVOKE ALL ON SCHEMA pgboss FROM ${role}; DROP ROLE ${role}`,
  )
  await owner.end()
  await database.drop()
})

test('every command is listed', async () => {
  const { stdout } = await cgk(['--help'], {})
  const names = [...stdout.matchAll(/^ {2}([a-z:]+) /gm)].map(([, name]) => name!)
  expect([...Object.keys(asked), ...open].sort()).toEqual(names.sort())
})

test.concurrent.each(Object.entries(asked))('%s', { timeout: 60_000 }, async (name, args) => {
  const running = startCgk([name, ...args], env, 'pipe')
  // A password, or a key of Resend.
  running.child.stdin!.end('re_0123456789_abcdefghijklmnop\n')
  const { code, stdout, stderr } = await running.ended
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^cgk: .*permission denied.*\(42501\)\n$/)
})
