/**
 * A worker is killed after providers have done what it asked and before it could write that down. The next worker runs
 * the same runs again: nothing is paid, sent or made twice.
 */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runs, setCredential, sql, withTenant } from '../../src/default-platform.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { sendEmail } from '../../tasks/email/send.ts'
import { processDomesticPayout } from '../../tasks/payouts/process-domestic.ts'
import { processInternationalPayout } from '../../tasks/payouts/process-international.ts'
import { ingestVideo } from '../../tasks/videos/ingest.ts'
import { type Environment, type Running, startCgk } from '../cli/cgk.ts'
import { type Providers, startProvider } from '../fixtures/providers/index.ts'
import { add, expectLedgerToAgree, find } from '../tasks/rows.ts'

const names = ['stripe', 'wise', 'resend', 'mux'] as const
type Name = (typeof names)[number]

const encryptionKeys = randomBytes(32).toString('base64')
const providers = {} as Pick<Providers, Name>
let kit: TestPlatform
let tenantId: string
let env: Environment
const workers: Running[] = []

beforeAll(async () => {
  const credentials = new Map<Name, () => Readonly<Record<string, string>>>()
  for (const name of names) {
    const { server, newCredentials } = await startProvider(name)
    Object.assign(providers, { [name]: server })
    credentials.set(name, newCredentials)
  }
  // A provider that says nothing must not be what ends the request.
  const services = Object.fromEntries(
    names.map((name) => [name, { baseUrl: providers[name].url, timeoutMs: 60_000 }]),
  )
  kit = await createTestPlatform({ engine: 'pg-boss', encryptionKeys, services })
  tenantId = await kit.tenant()
  for (const name of names) await setCredential(tenantId, name, credentials.get(name)!())
  env = {
    DATABASE_URL: kit.databaseUrl,
    INTEGRATION_ENCRYPTION_KEY: encryptionKeys,
    JOBS_SERVICES: JSON.stringify(services),
  }
})
afterAll(async () => {
  for (const { child } of workers) child.kill('SIGKILL')
  await kit.close()
  for (const name of names) await providers[name].close()
})

async function startWorker(): Promise<Running> {
  const worker = startCgk(['worker'], env)
  workers.push(worker)
  await worker.says('Worker started')
  return worker
}

/** The next such request is done as always, and its answer never comes. Answers when it has been done. */
function loseNext(name: Name, method: string, path: RegExp): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  providers[name].loseAnswer(
    () => {
      resolve()
      return { instead: 'silence' }
    },
    { matches: (request) => request.method === method && path.test(request.path) },
  )
  return promise
}

async function addPayout(
  method: 'stripe' | 'wise',
  fields: object,
): Promise<{ creatorId: string; payoutId: string }> {
  const creatorId = await add(tenantId, 'creators', {
    email: `${randomBytes(4).toString('hex')}@x.test`,
    first_name: 'A',
    last_name: 'B',
    status: 'active',
    balance_cents: 10_000,
    ...fields,
  })
  const earned = { creator_id: creatorId, type: 'adjustment', currency: 'USD' }
  await add(tenantId, 'balance_transactions', {
    ...earned,
    amount_cents: 10_000,
    balance_after_cents: 10_000,
  })
  const money = { amount_cents: 6_000, fee_cents: 100, net_amount_cents: 5_900, currency: 'USD' }
  return { creatorId, payoutId: await add(tenantId, 'payouts', { creator_id: creatorId, method, ...money }) }
}

test('two transfers, an email and an asset, each done once, though the worker was killed right after', async () => {
  const { stripe, wise, resend, mux } = providers
  stripe.addAccount('acct_creator')
  wise.recipients.add(700)
  const domestic = await addPayout('stripe', { stripe_connect_id: 'acct_creator' })
  const made = await addPayout('wise', { wise_recipient_id: '700' })
  const entryId = await add(tenantId, 'email_queue', {
    kind: 'creator',
    recipient: 'maya@example.com',
    subject: 'You are in: welcome',
    template: 'creator-welcome',
    data: JSON.stringify({ creatorId: domestic.creatorId }),
    dedupe_key: 'creator:welcome:1',
  })
  const videoId = await add(tenantId, 'videos', { title: 'Hello' })

  const done = [
    loseNext('stripe', 'POST', /^\/v1\/transfers$/),
    loseNext('wise', 'POST', /^\/v1\/transfers$/),
    loseNext('resend', 'POST', /^\/emails$/),
    loseNext('mux', 'POST', /^\/video\/v1\/assets$/),
  ]
  const handles = [
    await processDomesticPayout.trigger({ tenantId, payoutId: domestic.payoutId }),
    await processInternationalPayout.trigger({ tenantId, payoutId: made.payoutId }),
    await sendEmail.trigger({ tenantId, entryId }),
    await ingestVideo.trigger({ tenantId, videoId, sourceUrl: 'https://files.example.com/a.mp4' }),
  ]
  const killed = await startWorker()
  await Promise.all(done)
  killed.child.kill('SIGKILL')
  await killed.ended
  // Nothing of it is in the rows.
  expect(await find(tenantId, 'payouts', domestic.payoutId)).toMatchObject({
    status: 'processing',
    stripe_transfer_id: null,
  })
  expect(await find(tenantId, 'payouts', made.payoutId)).toMatchObject({ wise_transfer_id: null })
  expect(await find(tenantId, 'email_queue', entryId)).toMatchObject({ resend_message_id: null })
  expect(await find(tenantId, 'videos', videoId)).toMatchObject({ mux_asset_id: null })

  // Stripe's list does not have the new transfer yet, so its key alone keeps the payout from being paid twice.
  stripe.answerNext(
    { body: { object: 'list', url: '/v1/transfers', has_more: false, data: [] } },
    { matches: ({ method, path }) => method === 'GET' && path === '/v1/transfers' },
  )
  // And again for the step after: the payment of the transfer.
  const paid = loseNext('wise', 'POST', /\/payments$/)
  const killedToo = await startWorker()
  await paid
  killedToo.child.kill('SIGKILL')
  await killedToo.ended

  await startWorker()
  const assetId = () => [...mux.assets.keys()][0]!
  mux.finish(assetId(), { duration: 12 })
  for (const { id } of handles) {
    expect(await runs.wait(id, { timeout: '90s' })).toMatchObject({ state: 'completed' })
  }

  expect(stripe.transfers.size).toBe(1)
  expect(wise.transfers.size).toBe(1)
  expect(wise.payments.filter(({ status }) => status === 'COMPLETED')).toHaveLength(1)
  expect(resend.emails).toHaveLength(1)
  expect(mux.assets.size).toBe(1)
  // Whatever was sent again carried what the first had carried.
  const keysOf = (name: Name, path: string) =>
    new Set(providers[name].received('POST', path).map(({ headers }) => headers['idempotency-key']))
  expect(keysOf('stripe', '/v1/transfers').size).toBe(1)
  expect(stripe.received('POST', '/v1/transfers')).toHaveLength(2)
  expect(keysOf('resend', '/emails')).toEqual(new Set([entryId]))
  expect(resend.received('POST', '/emails').length).toBeGreaterThanOrEqual(2)
  expect(keysOf('mux', '/video/v1/assets').size).toBe(1)
  const transactionIds = wise.received('POST', '/v1/transfers').map(({ body }) => body.customerTransactionId)
  expect(transactionIds.length).toBeGreaterThanOrEqual(2)
  expect(new Set(transactionIds).size).toBe(1)

  expect(await find(tenantId, 'payouts', domestic.payoutId)).toMatchObject({
    stripe_transfer_id: [...stripe.transfers.keys()][0],
  })
  expect(await find(tenantId, 'payouts', made.payoutId)).toMatchObject({
    wise_transfer_id: String([...wise.transfers.keys()][0]),
  })
  expect(await find(tenantId, 'email_queue', entryId)).toMatchObject({
    status: 'sent',
    resend_message_id: resend.emails[0]!.id,
  })
  expect(await find(tenantId, 'videos', videoId)).toMatchObject({ status: 'ready', mux_asset_id: assetId() })
  await expectLedgerToAgree(tenantId)
  for (const { creatorId } of [domestic, made]) {
    expect((await find(tenantId, 'creators', creatorId)).balance_cents).toBe(4_000)
  }
  const { rows } = await withTenant(
    tenantId,
    () => sql`SELECT FROM balance_transactions WHERE type = 'payout'`,
  )
  expect(rows).toHaveLength(2)
}, 180_000)
