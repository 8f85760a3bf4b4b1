import { expect, test } from 'vitest'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { processOrder } from '../../../tasks/orders/process-order.ts'
import { expectAbort, kit, tenantId, useTestPlatform } from '../kit.ts'
import { addOrder, find } from '../rows.ts'

useTestPlatform()

const run = (orderId: string) => kit.runTask(processOrder, { tenantId, orderId })

test.each(['pending', 'confirmed'])(
  'a %s order is processed once; a repeat finds it done',
  async (status) => {
    const orderId = await addOrder(tenantId, { status })
    expect(await run(orderId)).toEqual({ orderId, status: 'processing', alreadyProcessed: false })
    const { processed_at } = await find(tenantId, 'orders', orderId)
    expect(processed_at).toBeInstanceOf(Date)

    expect(await run(orderId)).toEqual({ orderId, status: 'processing', alreadyProcessed: true })
    expect(await find(tenantId, 'orders', orderId)).toMatchObject({ status: 'processing', processed_at })
  },
)

test.each(['shipped', 'delivered', 'cancelled', 'refunded'])('a %s order is refused', async (status) => {
  await expectAbort(run(await addOrder(tenantId, { status })), new RegExp(`is ${status}`))
})

test('of ten runs for one order, one takes it', async () => {
  const orderId = await addOrder(tenantId)
  const answers = await Promise.all(Array.from({ length: 10 }, () => run(orderId)))
  expect(answers.filter(({ alreadyProcessed }) => !alreadyProcessed)).toHaveLength(1)
})

test('an order that is not there, and one of another tenant', async () => {
  await expectAbort(run('nope'), /no order nope/)
  const theirs = await addOrder(await kit.tenant())
  await expectAbort(run(theirs), /no order/)
})

test('a payload that does not fit', async () => {
  await expect(run('')).rejects.toThrow(InvalidPayloadError)
  await expect(kit.runTask(processOrder, { tenantId, orderId: 'x', more: 1 } as never)).rejects.toThrow(
    /more/,
  )
})

test('through the queue', async () => {
  const orderId = await addOrder(tenantId)
  await processOrder.trigger({ tenantId, orderId })
  await processOrder.trigger({ tenantId, orderId: 'nope' })
  await kit.assertEnqueued(processOrder, { tenantId, payload: { orderId } })
  expect(await kit.drain()).toMatchObject({ completed: 1, failed: 1 })
  expect((await find(tenantId, 'orders', orderId)).status).toBe('processing')
})
