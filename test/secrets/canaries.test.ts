/**
 * Secrets are planted, everything goes wrong that can with them in hand, and then all that the platform wrote is
 * searched: what its processes printed, every table, every answer over HTTP.
 */
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { type Environment, type Running, startCgk } from '../cli/cgk.ts'
import { Turnstile } from '../fixtures/providers/turnstile.ts'

const canary = (name: string) => `canary-${name}-${randomBytes(12).toString('hex')}`
const planted = {
  token_secret: canary('token'),
  webhook_secret: canary('webhook'),
  replaced: canary('replaced'),
  encryption_key: randomBytes(32).toString('base64'),
}
const ways = ['output', 'error', 'abort', 'snooze', 'provider', 'timeout']

let database: TestDatabase
let turnstile: Turnstile
let env: Environment
let worker: Running
let server: Running
let said = ''
/** Where the server listens. */
let url = ''

beforeAll(async () => {
  turnstile = await new Turnstile().listen()
  database = await createTestDatabase()
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: fileURLToPath(new URL('tasks/index.ts', import.meta.url)),
    JOBS_SERVICES: JSON.stringify({ mux: { baseUrl: turnstile.url } }),
    JOBS_LOG_LEVEL: 'trace',
    JOBS_HTTP_PORT: '0',
    INTEGRATION_ENCRYPTION_KEY: planted.encryption_key,
  }
  await run(['tenant:create', 'shop'])
  worker = startCgk(['worker'], env)
  server = startCgk(['serve'], env)
  server.child.stdout!.on('data', (text) => {
    url ||= /http:\/\/\S+:\d+/.exec(String(text))?.[0] ?? ''
  })
  await Promise.all([worker.says('Worker started'), server.says('http://')])
})
afterAll(async () => {
  for (const { child } of [worker, server]) child.kill('SIGKILL')
  await database.drop()
  await turnstile.close()
})

async function run(args: readonly string[], stdin?: string): Promise<string> {
  const running = startCgk(args, env, stdin === undefined ? 'ignore' : 'pipe')
  running.child.stdin?.end(stdin)
  const { stdout, stderr } = await running.ended
  said += stdout + stderr
  return stdout
}

/** A provider that repeats the key it was given, as Wise's really does. */
const echo = (status: number) => ({
  status,
  headers: { 'retry-after': '5' },
  body: {
    error: { type: 'unauthorized', messages: [`Bad key ${planted.token_secret}`] },
  },
})

test('no secret is anywhere in what the platform wrote', async () => {
  const set = (key: string, value: string) => run(['credential:set', 'shop', 'mux', key], value)
  await set('token_id', 'the-token-id')
  await set('webhook_secret', planted.webhook_secret)
  await set('token_secret', planted.replaced)
  await set('token_secret', planted.token_secret)
  await set('token_secret', `${planted.token_secret}\0`)
  await set('api_key', planted.token_secret)

  turnstile.answerNext(echo(404))
  const runs = ways.map(async (how) => {
    const payload = JSON.stringify({ tenantId: 'shop', how })
    const [id] = /^\S{36}/.exec(await run(['trigger', 'leak/secrets', '--payload', payload]))!
    return id
  })
  const ids = await Promise.all(runs)
  // Refused and limited, with the key in the provider's words; then a verification that is refused so.
  turnstile.accepted.add(planted.token_secret)
  for (const status of [401, 429]) {
    await set('token_secret', planted.token_secret)
    turnstile.answerNext(echo(status))
    await run(['trigger', 'leak/secrets', '--payload', '{"tenantId":"shop","how":"provider"}'])
    const why = status === 429 ? /rate limited/ : /refused/
    await expect.poll(() => run(['hold:list']), { timeout: 10_000 }).toMatch(why)
  }
  turnstile.answerNext(echo(403))
  await run(['credential:verify', 'shop'])
  const open = () => run(['run:list', '--state', 'queued,running,retrying'])
  await expect.poll(open, { timeout: 20_000 }).toBe('No runs.\n')
  await Promise.all([
    ...[
      ['run:list', '--json'],
      ['credential:list', 'shop'],
      ['hold:list', '--json'],
    ].map((args) => run(args)),
    ...ids.map((id) => run(['run:show', id])),
    ...ids.map((id) => run(['run:logs', id])),
  ])
  await run(['credential:rotate'])

  const deliver = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify({ key: planted.webhook_secret }) })
  const answers = await Promise.all([
    deliver('/webhooks/shop/mux', { 'mux-signature': planted.webhook_secret }),
    deliver('/webhooks/shop/stripe'),
    deliver(`/webhooks/${planted.token_secret}/mux`),
    deliver('/webhooks/nobody/mux'),
    deliver('/nowhere'),
  ])
  for (const answer of answers) {
    expect(answer.status).toBeGreaterThanOrEqual(400)
    said += JSON.stringify([...answer.headers]) + (await answer.text())
  }

  await run(['credential:delete', 'shop', 'mux', 'webhook_secret'])
  for (const { child } of [worker, server]) child.kill('SIGTERM')
  for (const { stdout, stderr } of [await worker.ended, await server.ended]) said += stdout + stderr

  const written: Record<string, string> = { 'stdout, stderr and HTTP': said, ...(await everyTable()) }
  // The search itself works: what is no secret is found.
  expect(said).toContain('and a text with [redacted]')
  expect(Object.keys(written).length).toBeGreaterThan(30)
  expect(written['pgboss.job_common']).toContain('leak/secrets')
  expect(written['public.platform_run_logs']).toContain('and a text with [redacted]')
  expect(written['public.platform_run_progress']).toContain('with [redacted]')
  expect(written['tenant_shop.tenant_api_credentials']).toContain('token_secret')
  for (const [name, secret] of Object.entries(planted)) {
    for (const [where, text] of Object.entries(written)) {
      // Half of it is too much as well.
      expect(text.includes(secret.slice(0, 24)), `${name} is in ${where}`).toBe(false)
    }
  }
}, 180_000)

async function everyTable(): Promise<Record<string, string>> {
  const client = new pg.Client(database.url)
  await client.connect()
  try {
    const { rows } = await client.query<{ schema: string; name: string }>(
      `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`,
    )
    const tables: Record<string, string> = {}
    for (const { schema, name } of rows) {
      const quoted = `${client.escapeIdentifier(schema)}.${client.escapeIdentifier(name)}`
      const found = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${quoted} t`)
      tables[`${schema}.${name}`] = found.rows.map(({ row }) => row).join('\n')
    }
    return tables
  } finally {
    await client.end()
  }
}
