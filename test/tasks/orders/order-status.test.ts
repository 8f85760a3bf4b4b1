import { expect, test } from 'vitest'
import { readOrderStatus } from '../../../tasks/orders/order-status.ts'

const order = {
  displayFinancialStatus: 'PAID' as string | null,
  displayFulfillmentStatus: 'UNFULFILLED',
  cancelledAt: null as string | null,
  fulfillments: [] as { status: string; createdAt: string; deliveredAt: string | null }[],
}

test.each([
  ['PENDING', 'pending', 'pending'],
  [null, 'pending', 'pending'],
  ['AUTHORIZED', 'authorized', 'confirmed'],
  ['EXPIRED', 'voided', 'pending'],
  ['VOIDED', 'voided', 'pending'],
  ['PARTIALLY_PAID', 'partially_paid', 'pending'],
  ['PAID', 'paid', 'confirmed'],
  ['PARTIALLY_REFUNDED', 'partially_refunded', 'confirmed'],
  ['REFUNDED', 'refunded', 'refunded'],
  ['ON_THE_MOON', null, 'pending'],
])('a payment that is %s', (displayFinancialStatus, financialStatus, status) => {
  expect(readOrderStatus({ ...order, displayFinancialStatus })).toMatchObject({ financialStatus, status })
})

test.each([
  ['UNFULFILLED', 'unfulfilled', 'confirmed'],
  ['OPEN', 'unfulfilled', 'confirmed'],
  ['SCHEDULED', 'unfulfilled', 'confirmed'],
  ['ON_HOLD', 'unfulfilled', 'confirmed'],
  ['PENDING_FULFILLMENT', 'unfulfilled', 'confirmed'],
  ['IN_PROGRESS', 'unfulfilled', 'confirmed'],
  ['REQUEST_DECLINED', 'unfulfilled', 'confirmed'],
  ['RESTOCKED', 'unfulfilled', 'confirmed'],
  ['PARTIALLY_FULFILLED', 'partial', 'confirmed'],
  ['FULFILLED', 'fulfilled', 'shipped'],
  ['ON_THE_MOON', null, 'confirmed'],
])('a fulfillment that is %s', (displayFulfillmentStatus, fulfillmentStatus, status) => {
  expect(readOrderStatus({ ...order, displayFulfillmentStatus })).toMatchObject({ fulfillmentStatus, status })
})

test('what is cancelled is that before anything else', () => {
  const cancelled = { ...order, cancelledAt: '2026-01-02T00:00:00Z', displayFinancialStatus: 'REFUNDED' }
  expect(readOrderStatus(cancelled)).toMatchObject({ status: 'cancelled', financialStatus: 'refunded' })
})

test('an order is delivered when its last parcel is, and until then it left with its last parcel', () => {
  const parcel = (day: number, deliveredAt: string | null, status = 'SUCCESS') => ({
    status,
    createdAt: `2026-01-0${day}T00:00:00Z`,
    deliveredAt,
  })
  const fulfilled = (...fulfillments: ReturnType<typeof parcel>[]) =>
    readOrderStatus({ ...order, displayFulfillmentStatus: 'FULFILLED', fulfillments })
  const gone = parcel(9, null, 'CANCELLED')

  const arrived = [parcel(1, '2026-01-08T00:00:00Z'), parcel(2, '2026-01-05T00:00:00Z'), gone]
  expect(fulfilled(...arrived)).toMatchObject({ status: 'delivered', fulfilledAt: '2026-01-08T00:00:00Z' })
  const onTheWay = [parcel(3, null), parcel(1, '2026-01-08T00:00:00Z'), gone]
  expect(fulfilled(...onTheWay)).toMatchObject({ status: 'shipped', fulfilledAt: '2026-01-03T00:00:00Z' })
  expect(fulfilled()).toMatchObject({ status: 'shipped', fulfilledAt: null })

  const partial = { ...order, displayFulfillmentStatus: 'PARTIALLY_FULFILLED', fulfillments: arrived }
  expect(readOrderStatus(partial)).toMatchObject({ status: 'confirmed', fulfilledAt: null })
})
