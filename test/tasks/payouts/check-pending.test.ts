import { beforeEach, describe, expect, test } from 'vitest'
import { deleteCredential, runs } from '../../../src/default-platform.ts'
import { ServiceNotConfiguredError } from '../../../src/errors.ts'
import { checkPendingPayouts } from '../../../tasks/payouts/check-pending.ts'
import { processDomesticPayout } from '../../../tasks/payouts/process-domestic.ts'
import { processInternationalPayout } from '../../../tasks/payouts/process-international.ts'
import type { ProviderRequest } from '../../fixtures/providers/server.ts'
import { refuse } from '../../fixtures/providers/stripe.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { expectLedgerToAgree, find, set } from '../rows.ts'
import { addCreatorWithMoney, addPayout, expectBalance, ledgerOf } from './payout-rows.ts'

const providers = useProviders(['stripe', 'wise'], {
  tasks: [checkPendingPayouts, processDomesticPayout, processInternationalPayout],
})

const nothing = { completed: 0, failed: 0, resumed: 0, processing: 0 }
const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000)

let creatorId: string
beforeEach(async () => {
  providers.stripe.addAccount('acct_creator')
  providers.wise.addRecipient(700)
  creatorId = await addCreatorWithMoney({ balance_cents: 100_000 })
})

const check = (fields: { method?: 'stripe' | 'wise'; limit?: number; stripeTransferId?: string } = {}) =>
  kit.runTask(checkPendingPayouts, { tenantId, ...fields })

async function startStripe(): Promise<{ id: string; transferId: string }> {
  const payoutId = await addPayout(creatorId)
  const answer = await kit.runTask(processDomesticPayout, { tenantId, payoutId })
  return { id: payoutId, transferId: answer.stripeTransferId }
}

async function startWise(): Promise<{ id: string; transferId: string }> {
  const payoutId = await addPayout(creatorId, { method: 'wise' })
  await kit.runTask(processInternationalPayout, { tenantId, payoutId })
  return { id: payoutId, transferId: (await find(tenantId, 'payouts', payoutId)).wise_transfer_id }
}

const statusOf = async (id: string) => (await find(tenantId, 'payouts', id)).status

test('a transfer that stays is completed, one that was reversed has failed and its money is back', async () => {
  const [stays, reversed, partly] = [await startStripe(), await startStripe(), await startStripe()]
  providers.stripe.reverseTransfer(reversed.transferId)
  providers.stripe.reverseTransfer(partly.transferId, 100)

  expect(await check()).toEqual({ ...nothing, completed: 2, failed: 1 })
  expect(await find(tenantId, 'payouts', stays.id)).toMatchObject({
    status: 'completed',
    completed_at: expect.any(Date),
    failed_at: null,
  })
  expect(await statusOf(partly.id)).toBe('completed')
  expect(await find(tenantId, 'payouts', reversed.id)).toMatchObject({
    status: 'failed',
    failure_code: 'transfer_reversed',
    failure_reason: expect.stringContaining(reversed.transferId),
  })
  expect(await ledgerOf(reversed.id)).toEqual(['payout -6000', 'refund 6000'])
  await expectBalance(creatorId, 88_000)
  await expectLedgerToAgree(tenantId)

  expect(await check()).toEqual(nothing)
  await expectLedgerToAgree(tenantId)
})

test('checks at once give the money back once', async () => {
  const { id, transferId } = await startStripe()
  providers.stripe.reverseTransfer(transferId)
  await Promise.all([check(), check({ method: 'stripe' }), check({ stripeTransferId: transferId })])
  expect(await ledgerOf(id)).toEqual(['payout -6000', 'refund 6000'])
  await expectLedgerToAgree(tenantId)
})

test.each([
  ['outgoing_payment_sent', 'completed'],
  ['cancelled', 'failed'],
  ['funds_refunded', 'failed'],
  ['charged_back', 'failed'],
  ['processing', 'processing'],
  ['funds_converted', 'processing'],
  ['bounced_back', 'processing'],
  ['something_new', 'processing'],
])('a Wise transfer that is %s: the payout is %s', async (wiseStatus, status) => {
  const { id, transferId } = await startWise()
  // However long it takes.
  await set(tenantId, 'payouts', id, 'initiated_at', hoursAgo(24 * 20))
  providers.wise.moveTransfer(transferId, wiseStatus)
  expect(await check({ method: 'wise' })).toEqual({ ...nothing, [status]: 1 })
  expect(await find(tenantId, 'payouts', id)).toMatchObject({
    status,
    failure_code: status === 'failed' ? wiseStatus : null,
  })
  await expectBalance(creatorId, status === 'failed' ? 100_000 : 94_000)
  await expectLedgerToAgree(tenantId)
  await kit.refuteEnqueued(processInternationalPayout, { tenantId })
})

describe('a payout that lost its run', () => {
  test('is handed to its task again, once, when an hour has passed', async () => {
    providers.stripe.loseAnswer(
      { instead: 'reset' },
      { matches: ({ method, path }) => method === 'POST' && path === '/v1/transfers' },
    )
    const payoutId = await addPayout(creatorId)
    await expect(kit.runTask(processDomesticPayout, { tenantId, payoutId })).rejects.toThrow()
    expect(await check()).toEqual({ ...nothing, processing: 1 })
    await kit.refuteEnqueued(processDomesticPayout, { tenantId })

    await set(tenantId, 'payouts', payoutId, 'initiated_at', hoursAgo(2))
    const [first, second] = [await check(), await check()]
    expect([first.resumed, second.resumed]).toEqual([1, 1])
    await kit.assertEnqueued(processDomesticPayout, { tenantId })
    expect(await kit.drain()).toMatchObject({ completed: 1 })
    expect(await check()).toEqual({ ...nothing, completed: 1 })
    expect(await ledgerOf(payoutId)).toEqual(['payout -6000'])
  })

  test('at Wise as well, before its transfer and before its payment', async () => {
    providers.wise.answerNext(
      { instead: 'reset' },
      { matches: ({ method, path }) => method === 'POST' && path.endsWith('/quotes') },
    )
    const unmade = await addPayout(creatorId, { method: 'wise' })
    await expect(kit.runTask(processInternationalPayout, { tenantId, payoutId: unmade })).rejects.toThrow()
    const unpaid = await startWise()
    providers.wise.moveTransfer(unpaid.transferId, 'incoming_payment_waiting')
    for (const id of [unmade, unpaid.id])
      await set(tenantId, 'payouts', id, 'initiated_at', hoursAgo(24 * 15))

    expect(await check()).toEqual({ ...nothing, resumed: 2 })
    expect(await kit.drain()).toMatchObject({ completed: 2 })
    expect(await check()).toEqual({ ...nothing, processing: 2 })
  })
})

test('one payout that cannot be checked does not stop the others, and is thrown at the end', async () => {
  const [bad, good, abroad] = [await startStripe(), await startStripe(), await startWise()]
  await set(tenantId, 'payouts', bad.id, 'stripe_transfer_id', 'tr_unknown')
  providers.wise.moveTransfer(abroad.transferId, 'outgoing_payment_sent')

  await expect(check()).rejects.toMatchObject({ code: 'resource_missing' })
  expect(await statusOf(bad.id)).toBe('processing')
  expect(await statusOf(good.id)).toBe('completed')
  expect(await statusOf(abroad.id)).toBe('completed')
})

test('what concerns the account is thrown before what concerns one payout, and its provider is left alone', async () => {
  const bad = await startStripe()
  await set(tenantId, 'payouts', bad.id, 'stripe_transfer_id', 'tr_unknown')
  for (let index = 0; index < 4; index += 1) await startStripe()
  const abroad = await startWise()
  providers.wise.moveTransfer(abroad.transferId, 'outgoing_payment_sent')
  providers.stripe.requests.splice(0)
  const isGood = ({ path }: ProviderRequest) => /^\/v1\/transfers\/tr_\d/.test(path)
  providers.stripe.answerNext(refuse({ status: 401, message: 'Invalid API Key provided' }), {
    matches: isGood,
  })

  const { id } = await checkPendingPayouts.trigger({ tenantId })
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'held' })
  expect(providers.stripe.requests).toHaveLength(2)
  expect(await statusOf(abroad.id)).toBe('completed')
})

test('a passing failure is thrown before a lasting one, so that the run is retried', async () => {
  const [bad, flaky] = [await startStripe(), await startStripe()]
  await set(tenantId, 'payouts', bad.id, 'stripe_transfer_id', 'tr_unknown')
  const matches = ({ path }: ProviderRequest) => path.endsWith(flaky.transferId)
  providers.stripe.answerNext({ status: 503, body: '' }, { matches })
  await expect(check()).rejects.toMatchObject({ statusCode: 503 })
})

test('payouts that stay under way do not hide the others behind the limit', async () => {
  const slow = [await startWise(), await startWise()]
  const done = await startWise()
  providers.wise.moveTransfer(done.transferId, 'outgoing_payment_sent')
  expect(await check({ limit: 2 })).toEqual({ ...nothing, processing: 2 })
  expect(await check({ limit: 2 })).toEqual({ ...nothing, processing: 1, completed: 1 })
  for (const { id } of slow) expect(await statusOf(id)).toBe('processing')
})

describe('a tenant that has only one of the two', () => {
  beforeEach(async () => {
    await startStripe()
    await startWise()
    await deleteCredential(tenantId, 'wise', 'api_token')
  })

  test('has the payouts of that one checked', async () => {
    expect(await check()).toEqual({ ...nothing, completed: 1 })
    expect(await check({ method: 'stripe' })).toEqual(nothing)
  })

  test('is told when the other one is demanded', async () => {
    await expect(check({ method: 'wise' })).rejects.toThrow(ServiceNotConfiguredError)
  })
})

describe('transfer.reversed', () => {
  const webhook = checkPendingPayouts.webhooks[0]!
  const payload = (body: unknown) => webhook.payload({ id: 'evt_1', type: 'transfer.reversed', body })

  test('checks that transfer, also when its payout is completed', async () => {
    const [reversed, other] = [await startStripe(), await startStripe()]
    await check()
    providers.stripe.reverseTransfer(reversed.transferId)
    const transfer = providers.stripe.transfers.get(reversed.transferId)!
    const fields = payload(JSON.parse(providers.stripe.event('transfer.reversed', transfer)))
    expect(fields).toEqual({ method: 'stripe', stripeTransferId: reversed.transferId })

    expect(await check(fields!)).toEqual({ ...nothing, failed: 1 })
    expect(await find(tenantId, 'payouts', reversed.id)).toMatchObject({
      status: 'failed',
      completed_at: null,
    })
    expect(await ledgerOf(reversed.id)).toEqual(['payout -6000', 'refund 6000'])
    expect(await statusOf(other.id)).toBe('completed')
    expect(await check(fields!)).toEqual(nothing)
    await expectLedgerToAgree(tenantId)
  })

  test('of which the body says nothing checks them all', () => {
    expect(webhook.events).toEqual(['transfer.reversed'])
    expect(payload({ data: {} })).toEqual({ method: 'stripe' })
    expect(payload(null)).toEqual({ method: 'stripe' })
  })
})

test('a cancelled run stops', async () => {
  await startStripe()
  const signal = AbortSignal.abort(new Error('stop'))
  await expect(kit.runTask(checkPendingPayouts, { tenantId }, { signal })).rejects.toThrow('stop')
})
