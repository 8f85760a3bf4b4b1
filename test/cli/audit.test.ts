/** Whatever a command changes is in the audit log, as the HTTP API would have it there; what was refused is not. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditEntry, AuditPage } from '../../src/audit/audit.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, startCgk } from './cgk.ts'

const secret = 're_0123456789_abcdefghijklmnop'

let database: TestDatabase
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: fixtureTasks,
    INTEGRATION_ENCRYPTION_KEY: '0'.repeat(64),
    // Nobody is there: that is an answer to verify as well.
    JOBS_SERVICES: '{"resend":{"baseUrl":"http://127.0.0.1:9","timeoutMs":100}}',
  }
}, 60_000)
afterAll(() => database.drop())

async function run(args: readonly string[], stdin = ''): Promise<string> {
  const running = startCgk(args, env, 'pipe')
  running.child.stdin!.end(stdin)
  const { code, stdout, stderr } = await running.ended
  expect({ args, code, stderr: code === 0 ? '' : stderr }).toEqual({ args, code: 0, stderr: '' })
  return stdout
}

/** Oldest first. */
async function entries(): Promise<AuditEntry[]> {
  return (await cgkJson<AuditPage>(['audit:list', '--limit', '100'], env)).entries.reverse()
}

const shop = { tenantId: 'shop' }
const schedule = { subject: 'work/fail:own' }

/** In this order: a command, and what it leaves. */
const deeds: [string[], Partial<AuditEntry>, string?][] = [
  [['tenant:create', 'shop'], { ...shop, action: 'tenant.create' }],
  [['tenant:suspend', 'shop', '--reason', 'unpaid'], { ...shop, action: 'tenant.suspend', reason: 'unpaid' }],
  [['tenant:resume', 'shop'], { ...shop, action: 'tenant.resume' }],
  [
    ['credential:set', 'shop', 'resend', 'api_key'],
    { ...shop, action: 'credential.set', subject: 'resend', details: { keys: 'api_key' } },
    secret,
  ],
  [
    ['credential:delete', 'shop', 'resend', 'api_key'],
    { ...shop, action: 'credential.delete', subject: 'resend', details: { keys: 'api_key' } },
  ],
  [
    ['schedule:set', 'shop', 'work/fail:own', '--extra', '--cron', '0 3 1 1 *'],
    { ...shop, ...schedule, action: 'schedule.set' },
  ],
  [
    ['schedule:run', 'work/fail:own', '--tenant', 'shop'],
    { ...shop, ...schedule, action: 'schedule.run', details: { runs: 1 } },
  ],
  [
    ['schedule:pause', 'work/fail:own', '--tenant', 'shop'],
    { ...shop, ...schedule, action: 'schedule.pause' },
  ],
  [
    ['schedule:resume', 'work/fail:own', '--tenant', 'shop'],
    { ...shop, ...schedule, action: 'schedule.resume' },
  ],
  [['schedule:set', 'shop', 'work/fail:own', '--reset'], { ...shop, ...schedule, action: 'schedule.reset' }],
  [
    ['user:create', 'maya@x.test', '--tenant', 'shop', '--role', 'owner', '--password-stdin'],
    { ...shop, action: 'user.create', details: { operator: false, role: 'owner' } },
    secret,
  ],
  [
    ['user:password', 'maya@x.test', '--password-stdin'],
    { tenantId: null, action: 'user.password' },
    `${secret}2`,
  ],
  [['user:disable', 'maya@x.test'], { tenantId: null, action: 'user.disable' }],
  [['user:enable', 'maya@x.test'], { tenantId: null, action: 'user.enable' }],
  [['key:create', 'deploy', '--tenant', 'shop', '--scope', 'runs:read'], { ...shop, action: 'key.create' }],
]

test('one entry for each, in order, with who and of whom', { timeout: 120_000 }, async () => {
  let key = ''
  for (const [args, , stdin] of deeds) {
    const said = await run(args, stdin)
    if (args[0] === 'key:create') key = said.split('\n')[0]!
  }
  await run(['key:revoke', key.slice(0, 17)])
  await run(['tenant:delete', 'shop', '--yes', '--force', '--reason', 'asked for'])
  const found = await entries()
  expect(found).toMatchObject([
    ...deeds.map(([, entry]) => entry),
    { ...shop, action: 'key.revoke', subject: found.find(({ action }) => action === 'key.create')!.subject },
    { ...shop, action: 'tenant.delete', reason: 'asked for', details: { force: true } },
  ])
  expect(new Set(found.map(({ actor }) => actor.kind))).toEqual(new Set(['cli']))
  for (const hidden of [secret, key]) expect(JSON.stringify(found)).not.toContain(hidden)
})

test('what is refused, or was so already, leaves none', { timeout: 60_000 }, async () => {
  const before = await entries()
  const refused = [
    ['tenant:suspend', 'nobody'],
    ['tenant:delete', 'nobody', '--yes'],
    ['schedule:pause', 'work/fail:none'],
    ['schedule:run', 'work/fail:none', '--all'],
    ['failure:resolve', 'abc'],
    ['failure:ignore', 'abc', '--for', '1h'],
    ['failure:reopen', 'abc'],
    ['user:disable', 'nobody@x.test'],
    ['key:revoke', '00000000-0000-4000-8000-000000000000'],
  ]
  for (const { code } of await Promise.all(refused.map((args) => cgk(args, env)))) expect(code).toBe(1)
  expect(await entries()).toEqual(before)
})
