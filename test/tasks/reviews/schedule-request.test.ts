import { expect, test } from 'vitest'
import { scheduleReviewRequest } from '../../../tasks/reviews/schedule-request.ts'
import { expectAbort, kit, tenantId, useTestPlatform } from '../kit.ts'
import { add, addOrder, find } from '../rows.ts'

useTestPlatform()

const fulfilled_at = new Date('2026-03-01T10:00:00Z')
const run = (orderId: string, fulfillmentId?: string) =>
  kit.runTask(scheduleReviewRequest, {
    tenantId,
    orderId,
    ...(fulfillmentId !== undefined && { fulfillmentId }),
  })

test('seven days after delivery an email is queued; a second parcel queues no second one', async () => {
  const orderId = await addOrder(tenantId, { customer_email: 'a@x.test', status: 'delivered', fulfilled_at })
  const answer = await run(orderId, 'f1')
  expect(answer).toMatchObject({ alreadyScheduled: false, scheduledAt: '2026-03-08T10:00:00.000Z' })
  expect(await find(tenantId, 'email_queue', (answer as { emailId: string }).emailId)).toMatchObject({
    kind: 'review',
    recipient: 'a@x.test',
    dedupe_key: `review:${orderId}:1`,
    sequence_number: 1,
    status: 'pending',
    data: { orderId, fulfillmentId: 'f1' },
  })
  expect(await run(orderId, 'f2')).toEqual({ ...answer, alreadyScheduled: true })
})

test('the recipient may come from the customer, and of runs at once one queues', async () => {
  const customer_id = await add(tenantId, 'customers', { email: 'k@x.test' })
  const orderId = await addOrder(tenantId, { customer_id, fulfilled_at })
  const answers = await Promise.all(Array.from({ length: 8 }, () => run(orderId)))
  const emails = answers as { emailId: string; alreadyScheduled: boolean }[]
  expect(new Set(emails.map(({ emailId }) => emailId)).size).toBe(1)
  expect(emails.filter(({ alreadyScheduled }) => !alreadyScheduled)).toHaveLength(1)
  expect(await find(tenantId, 'email_queue', emails[0]!.emailId)).toMatchObject({
    recipient: 'k@x.test',
    data: { orderId },
  })
})

test('nobody is asked about an order that was cancelled or refunded, or has no address', async () => {
  const order = (fields: object) => addOrder(tenantId, { fulfilled_at, ...fields })
  for (const status of ['cancelled', 'refunded']) {
    const orderId = await order({ status, customer_email: 'a@x.test' })
    expect(await run(orderId)).toEqual({ scheduled: false, reason: `order is ${status}` })
  }
  expect(await run(await order({}))).toEqual({ scheduled: false, reason: 'order has no email address' })
})

test('an order without a delivery, and none at all, are mistakes', async () => {
  await expectAbort(run(await addOrder(tenantId, { customer_email: 'a@x.test' })), /no delivery date/)
  await expectAbort(run('nope'), /no order nope/)
})
