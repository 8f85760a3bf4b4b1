/** Holds at their edges: whose they are, what providers say in them, and what happens at the same moment. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  getTenantMuxClient,
  listCredentials,
  requireTenantMuxClient,
  runs,
  setCredential,
  sql,
  withTenant,
} from '../../src/default-platform.ts'
import { claim } from '../../src/engines/pg-boss/claim.ts'
import { ServiceHeldError } from '../../src/errors.ts'
import type { TaskContext } from '../../src/task/context.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { Turnstile } from '../fixtures/providers/turnstile.ts'

let kit: TestPlatform
let turnstile: Turnstile
let tenantId: string
/** What the next runs do. */
let act: (context: TaskContext) => unknown

const payload = tenantPayload({})
const retry = { maxAttempts: 3, minDelay: '1m', maxDelay: '30m' } as const
/** Names no service. */
const acts = defineTask({ id: 'holds/acts', payload, retry, run: (_, context) => act(context) })
const asks = defineTask({
  id: 'holds/asks',
  payload,
  retry,
  services: ['mux'],
  async run(_, context) {
    await context.clients.mux.video.assets.list({ limit: 1 })
    await act(context as unknown as TaskContext)
    await context.clients.mux.video.assets.list({ limit: 1 })
  },
})

beforeAll(async () => {
  turnstile = await new Turnstile().listen()
  kit = await createTestPlatform({
    engine: 'pg-boss',
    tasks: [acts, asks],
    encryptionKeys: randomBytes(32).toString('base64'),
    services: { mux: { baseUrl: turnstile.url } },
  })
})
beforeEach(async () => {
  turnstile.calm()
  act = () => null
  tenantId = await kit.tenant()
})
afterAll(async () => {
  await kit.close()
  await turnstile.close()
})

async function giveMux(to = tenantId): Promise<string> {
  const secret = `mux-secret-${randomBytes(8).toString('hex')}`
  turnstile.accepted.add(secret)
  await setCredential(to, 'mux', { token_id: 'token-of-the-test', token_secret: secret })
  return secret
}

const holdOf = async (tenant = tenantId) => (await (await kit.platform.ready()).holds.list(tenant))[0]
const refusal = (type: string, message: string) => ({
  status: 401,
  body: { error: { type, messages: [message] } },
})

describe('a client that the task asks for on the way', () => {
  const askAnew = async () => {
    await (await getTenantMuxClient(tenantId))!.video.assets.list({ limit: 1 })
  }

  test('holds the run as a named one does', async () => {
    turnstile.accepted.delete(await giveMux())
    act = askAnew
    const run = await acts.trigger({ tenantId })
    await kit.drain()
    expect(await runs.get(run.id)).toMatchObject({ state: 'held', attempt: 0 })
    await giveMux()
    await kit.drain()
    expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1, attempts: [] })
  })

  test('and that is refused because its credential was replaced meanwhile holds nobody', async () => {
    await giveMux()
    act = askAnew
    turnstile.answerNext(async () => {
      await giveMux()
      return refusal('unauthorized', 'No')
    })
    const run = await acts.trigger({ tenantId })
    await kit.drain()
    expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1, attempts: [] })
    expect(await holdOf()).toBeUndefined()
    expect(await listCredentials(tenantId)).toMatchObject([{ status: 'active' }, { status: 'active' }])
  })

  test('and that is configured in the very moment holds nobody', async () => {
    act = async () => {
      const client = await requireTenantMuxClient(tenantId).catch(async (error) => {
        await giveMux()
        throw error
      })
      await client.video.assets.list({ limit: 1 })
    }
    const run = await acts.trigger({ tenantId })
    await kit.drain()
    expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1, attempts: [] })
    expect(await holdOf()).toBeUndefined()
  })

  test("of another tenant holds neither the run's tenant nor the other, and is an error like any", async () => {
    const other = await kit.tenant()
    await giveMux()
    act = async () => await requireTenantMuxClient(other)
    const unset = await acts.trigger({ tenantId })
    await kit.drain()
    turnstile.accepted.delete(await giveMux(other))
    act = async () => await (await requireTenantMuxClient(other)).video.assets.list({ limit: 1 })
    const refused = await acts.trigger({ tenantId })
    await kit.drain()
    for (const { id } of [unset, refused])
      expect(await runs.get(id)).toMatchObject({ state: 'retrying', attempt: 1 })
    for (const tenant of [tenantId, other]) expect(await holdOf(tenant)).toBeUndefined()
    expect(await listCredentials(tenantId)).toMatchObject([{ status: 'active' }, { status: 'active' }])
  })
})

describe('what a provider says', () => {
  test('may have what Postgres cannot store', async () => {
    await giveMux()
    turnstile.answerNext(refusal('un\0authorized', 'a\0b\ud800'))
    const run = await asks.trigger({ tenantId })
    await kit.drain()
    expect(await runs.get(run.id)).toMatchObject({ state: 'held', attempt: 0 })
    expect(await holdOf()).toMatchObject({
      code: 'un\u{fffd}authorized',
      message: expect.stringContaining('a\u{fffd}b'),
    })
  })

  test('may be long: every run that waits repeats it', async () => {
    await giveMux()
    turnstile.answerNext(refusal('x'.repeat(50_000), 'y'.repeat(500_000)))
    await asks.trigger({ tenantId })
    await kit.drain()
    const hold = await holdOf()
    expect(hold!.code.length + hold!.message.length).toBeLessThan(700)
  })

  test('may repeat the secret, wherever it likes', async () => {
    const secret = await giveMux()
    turnstile.answerNext({ status: 422, body: { error: { type: secret, messages: [secret] } } })
    const failed = await asks.trigger({ tenantId })
    await kit.drain()
    turnstile.answerNext(refusal(secret, secret))
    const held = await asks.trigger({ tenantId })
    await kit.drain()
    const all = [
      await runs.get(failed.id),
      await runs.get(held.id),
      await holdOf(),
      await listCredentials(tenantId),
    ]
    expect(all).toMatchObject([
      { state: 'failed', error: { code: '[redacted]' } },
      { state: 'held' },
      {},
      [{}, {}],
    ])
    expect(JSON.stringify(all)).not.toContain(secret)
  })
})

test('of two Retry-Afters at the same moment the longer counts', async () => {
  await giveMux()
  const { holds, clients } = await kit.platform.ready()
  const { version } = await clients.find(tenantId, 'mux')
  const limit = { tenantId, service: 'mux', reason: 'rate_limited', code: 'c', message: 'm' } as const
  const place = (endsAfterMs: number) => holds.place({ ...limit, endsAfterMs, credentialVersion: version })
  await Promise.all([place(1_000), place(20_000), place(5_000)])
  const leftMs = (await holdOf())!.until!.getTime() - Date.now()
  expect(leftMs).toBeGreaterThan(18_000)
  await expect(async () => await holds.gate.pass(tenantId, 'mux')).rejects.toMatchObject({
    until: expect.toSatisfy((until: Date) => until.getTime() - Date.now() > 18_000),
  })
})

test('a run that is held in its middle does not expire while it waits', async () => {
  await giveMux()
  act = () => turnstile.answerNext({ status: 429, headers: { 'retry-after': '120' }, body: {} })
  const run = await asks.trigger({ tenantId }, { ttl: '1m' })
  await kit.drain()
  expect(await runs.get(run.id)).toMatchObject({ state: 'held', attempt: 0 })
  act = () => null
  await kit.advance('3m')
  const drained = async () => {
    await kit.drain()
    return (await runs.get(run.id)).state
  }
  await expect.poll(drained, { timeout: 10_000 }).toBe('completed')
  expect(await runs.get(run.id)).toMatchObject({ attempt: 1, attempts: [] })
})

test('a run that waits for two services is told of the one that is named', async () => {
  const { database } = await kit.platform.ready()
  await database.query(
    `INSERT INTO public.platform_holds (tenant_id, service, reason, code, message)
     VALUES ($1, 'mux', 'refused', 'c', 'zzz of mux'), ($1, 'resend', 'refused', 'c', 'aaa of resend')`,
    [tenantId],
  )
  const run = await asks.trigger({ tenantId })
  await claim(database, { id: asks.id, perTenant: null, services: ['mux', 'resend'] }, 10)
  expect(await runs.get(run.id)).toMatchObject({
    state: 'held',
    error: { message: 'mux is held: zzz of mux' },
  })
})

test('a hold that Postgres does not take costs no attempt, and no request before its time', async () => {
  const secret = await giveMux()
  const { database } = await kit.platform.ready()
  await database.script(`
    CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION 'going away' USING ERRCODE = '57P01'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON public.platform_holds FOR EACH ROW EXECUTE FUNCTION public.refuse()`)
  turnstile.answerNext({ status: 429, headers: { 'retry-after': '3600' }, body: {} })
  const run = await asks.trigger({ tenantId })
  await kit.drain()
  expect(await runs.get(run.id)).toMatchObject({ attempt: 0, attempts: [] })
  // Longer than a hold that is in the table is trusted without another look.
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  const { holds } = await kit.platform.ready()
  await expect(async () => await holds.gate.pass(tenantId, 'mux')).rejects.toThrow(ServiceHeldError)
  await database.script('DROP FUNCTION public.refuse() CASCADE')
  expect(turnstile.asked(secret)).toBe(1)
})

test('a credential that this worker cannot read costs no attempt: another one may have the key', async () => {
  await giveMux()
  await withTenant(
    tenantId,
    () => sql`UPDATE tenant_api_credentials SET encrypted_value = 'v1.00000000.AAAA'`,
  )
  const run = await asks.trigger({ tenantId }, { maxAttempts: 1 })
  await kit.drain()
  expect(await runs.get(run.id)).toMatchObject({
    state: 'scheduled',
    attempt: 0,
    error: { code: 'CREDENTIAL_UNREADABLE' },
  })
  await giveMux()
  await kit.advance('1m')
  await kit.drain()
  expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1 })
})
