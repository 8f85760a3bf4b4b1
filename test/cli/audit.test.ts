/** Whatever a command changes is in the audit log, as the HTTP API would have it there; what was refused is not. */
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditEntry, AuditPage } from '../../src/audit/audit.ts'
import type { FailurePage } from '../../src/runs/failures.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { Turnstile } from '../fixtures/providers/turnstile.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, startCgk } from './cgk.ts'

const secret = 're_0123456789_abcdefghijklmnop'

let database: TestDatabase
let turnstile: Turnstile
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  turnstile = await new Turnstile().listen()
  turnstile.accepted.add(secret)
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: fixtureTasks,
    INTEGRATION_ENCRYPTION_KEY: '0'.repeat(64),
    JOBS_SERVICES: JSON.stringify({ mux: { baseUrl: turnstile.url } }),
  }
}, 60_000)
afterAll(async () => {
  await database.drop()
  await turnstile.close()
})

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

test('also what needs a run, a credential or an invited account', { timeout: 120_000 }, async () => {
  await run(['tenant:create', 'store'])
  const store = { tenantId: 'store' }
  const [fingerprint, waiting] = [await failOnce(), await triggerLater()]
  const failure = { subject: fingerprint, reason: null }
  const mux = { ...store, subject: 'mux' }
  const extra = ['schedule:set', 'store', 'work/fail:own', '--extra', '--cron', '0 3 1 1 *']
  await run(extra)
  await run(['credential:set', 'store', 'mux', 'token_id'], 'some')
  await run(['credential:set', 'store', 'mux', 'token_secret'], secret)
  await run(['user:create', 'guest@x.test', '--password-stdin'], secret)
  await makeInvited('guest@x.test')
  const keys = { INTEGRATION_ENCRYPTION_KEY: `${'1'.repeat(64)},${'0'.repeat(64)}` }
  const valid = { details: { result: 'valid' } }
  const acts: [string[], Partial<AuditEntry>, also?: Environment][] = [
    [
      ['run:cancel', waiting, '--reason', 'late'],
      { ...store, subject: waiting, reason: 'late', details: {} },
    ],
    [['failure:resolve', fingerprint], { ...failure, tenantId: null }],
    [['failure:reopen', fingerprint, '--tenant', 'store'], { ...failure, ...store }],
    [
      ['failure:ignore', fingerprint, '--for', '2h'],
      { ...failure, tenantId: null, details: { until: expect.stringMatching(/^\d{4}-.*Z$/) } },
    ],
    [['schedule:pause', 'work/fail:own'], { ...schedule, tenantId: null }],
    [['schedule:resume', 'work/fail:own'], { ...schedule, tenantId: null }],
    [['schedule:run', 'work/fail:own', '--all'], { ...schedule, tenantId: null, details: { runs: 1 } }],
    [['credential:verify', 'store', 'mux'], { ...mux, ...valid }],
    [['credential:verify', '--all'], { ...mux, ...valid }],
    [['credential:rotate'], { ...store, subject: null, details: { rotated: 2, failed: 0 } }, keys],
    [['user:confirm', 'guest@x.test'], { tenantId: null, subject: expect.stringMatching(/^[0-9a-f-]{36}$/) }],
  ]
  const before = await entries()
  for (const [args, , also = {}] of acts) {
    expect(await cgk(args, { ...env, ...also }), args.join(' ')).toMatchObject({ code: 0 })
  }
  const found = (await entries()).slice(before.length)
  expect(found).toMatchObject(
    acts.map(([[command], entry]) => ({
      ...entry,
      action: command!.replace(':', '.'),
      actor: { kind: 'cli' },
    })),
  )
  for (const hidden of [secret, '0'.repeat(64), '1'.repeat(64)]) {
    expect(JSON.stringify(found)).not.toContain(hidden)
  }
  // Once more there is nothing to do.
  const done = [...before, ...found]
  for (const args of [
    ['run:cancel', waiting],
    ['user:confirm', 'guest@x.test'],
  ])
    await cgk(args, env)
  await cgk(['credential:rotate'], { ...env, ...keys })
  expect(await entries()).toEqual(done)
})

/** Answers the failure's name. */
async function failOnce(): Promise<string> {
  const worker = startCgk(['worker'], env)
  await worker.says('Worker started')
  await cgk(['trigger', 'work/fail', '--payload', '{"tenantId":"store"}', '--wait'], env)
  worker.child.kill('SIGTERM')
  await worker.ended
  return (await cgkJson<FailurePage>(['failure:list', '--tenant', 'store'], env)).groups[0]!.fingerprint
}

async function triggerLater(): Promise<string> {
  const payload = JSON.stringify({ tenantId: 'store', ms: 1 })
  const args = ['trigger', 'work/wait', '--payload', payload, '--delay', '1h']
  return (await cgkJson<{ id: string }>(args, env)).id
}

/** As accepting an invitation leaves it. */
async function makeInvited(email: string): Promise<void> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query(
    `UPDATE public.users SET invited_into = (SELECT id FROM public.organizations WHERE slug = 'store')
     WHERE email = $1`,
    [email],
  )
  await client.end()
}
