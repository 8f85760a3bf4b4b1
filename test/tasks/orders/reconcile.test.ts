import { beforeEach, expect, test } from 'vitest'
import { runs, sql, withTenant } from '../../../src/default-platform.ts'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { readServiceError } from '../../../src/services/registry.ts'
import { reconcileOrders } from '../../../tasks/orders/reconcile.ts'
import { syncOrderFromShopify } from '../../../tasks/orders/sync-from-shopify.ts'
import { anOrder } from '../../fixtures/providers/shopify.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { addOrder } from '../rows.ts'

const providers = useProviders(['shopify'])

beforeEach(() => {
  const { bucket } = providers.shopify
  providers.shopify.orders = []
  bucket.currentlyAvailable = bucket.maximumAvailable
})

const start = Date.parse('2026-01-10T00:00:00Z')
/** Minutes after the start, as Shopify writes it. */
const at = (minutes: number) => `${new Date(start + minutes * 60_000).toISOString().slice(0, 19)}Z`

/** Puts an order into the shop. */
function place(id: number, minutes: number): void {
  providers.shopify.orders.push(anOrder({ id: `gid://shopify/Order/${id}`, updatedAt: at(minutes) }))
}

const run = (options: { lookbackHours?: number; maxOrders?: number } = {}) =>
  kit.runTask(reconcileOrders, { tenantId, ...options })

const pages = () => providers.shopify.received('POST', /graphql/).length

async function readCursor() {
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ cursor: string }>`SELECT cursor FROM sync_cursors WHERE name = 'orders/reconcile'`,
  )
  return rows[0] ? JSON.parse(rows[0].cursor) : null
}

async function setCursor(minutes: number, id: number, caughtUp: boolean) {
  const cursor = JSON.stringify({ updatedAt: at(minutes), id: String(id), caughtUp })
  await withTenant(
    tenantId,
    () => sql`
      INSERT INTO sync_cursors (name, cursor) VALUES ('orders/reconcile', ${cursor})
      ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor`,
  )
}

/** The orders that runs wait for, in order of their number. */
async function waiting(): Promise<number[]> {
  const page = await runs.list({ tenantId, taskId: syncOrderFromShopify.id, limit: 1000 })
  const ids = page.runs.map(({ payload }) => Number((payload as { shopifyOrderId: string }).shopifyOrderId))
  return ids.sort((a, b) => a - b)
}

test('the first run looks back from now; what it finds is synced under its version', async () => {
  const ago = (hours: number) => `${new Date(Date.now() - hours * 3_600_000).toISOString().slice(0, 19)}Z`
  const order = (id: number, hours: number) =>
    anOrder({ id: `gid://shopify/Order/${id}`, updatedAt: ago(hours) })
  providers.shopify.orders = [order(1, 1.9), order(2, 4), order(3, 0.1)]
  expect(await run()).toEqual({
    triggered: 2,
    caughtUp: true,
    cursor: providers.shopify.orders[2]!.updatedAt,
  })
  await kit.assertEnqueued(syncOrderFromShopify, {
    tenantId,
    payload: { shopifyOrderId: '3', source: 'reconciliation' },
  })
  expect(await waiting()).toEqual([1, 3])

  // Nothing has changed: the overlap is seen again and the same runs are answered.
  expect(await run()).toMatchObject({ triggered: 2, caughtUp: true })
  expect(await waiting()).toEqual([1, 3])

  // Synced, they are current, and no more are triggered.
  expect(await kit.drain()).toMatchObject({ completed: 2, failed: 0 })
  expect(await run()).toMatchObject({ triggered: 0, caughtUp: true })

  providers.shopify.orders[0]!.updatedAt = ago(0)
  expect(await run()).toMatchObject({ triggered: 1 })
})

test('an empty shop: the cursor is where the first run began, and stays', async () => {
  const { cursor } = await run({ lookbackHours: 5 })
  expect((Date.now() - Date.parse(cursor)) / 3_600_000).toBeCloseTo(5, 1)
  expect((await run()).cursor).toBe(cursor)
  expect(await readCursor()).toEqual({ updatedAt: cursor, id: '0', caughtUp: true })
})

test('later runs look back from the cursor, and only what our rows do not have is synced', async () => {
  for (const [id, minutes] of [
    [1, 0],
    [2, 100],
    [3, 119],
    [4, 120],
    [5, 500],
  ] as const)
    place(id, minutes)
  await setCursor(120, 4, true)
  await addOrder(tenantId, { shopify_order_id: '2', shopify_updated_at: new Date(at(100)) })
  await addOrder(tenantId, { shopify_order_id: '3', shopify_updated_at: new Date(at(118)) })
  await addOrder(tenantId, { shopify_order_id: '5', shopify_updated_at: new Date(at(501)) })
  expect(await run({ lookbackHours: 1 })).toEqual({ triggered: 2, caughtUp: true, cursor: at(500) })
  expect(await waiting()).toEqual([3, 4])
})

test('maxOrders bounds a run, and the next goes on from there, whatever was updated in the same second', async () => {
  await setCursor(-10, 1, true)
  // Backwards, so that nothing depends on the order of the shop's list.
  for (let id = 12; id >= 1; id -= 1) place(id, id <= 8 ? 5 : id)
  expect(await run({ maxOrders: 5 })).toEqual({ triggered: 5, caughtUp: false, cursor: at(5) })
  expect(await readCursor()).toEqual({ updatedAt: at(5), id: '5', caughtUp: false })
  expect(await waiting()).toEqual([1, 2, 3, 4, 5])

  expect(await run({ maxOrders: 5 })).toMatchObject({ triggered: 5, caughtUp: false, cursor: at(10) })
  expect(await waiting()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  // Exactly as many as are left: there is nothing after them.
  expect(await run({ maxOrders: 2 })).toMatchObject({ triggered: 2, caughtUp: true, cursor: at(12) })
  expect(await waiting()).toHaveLength(12)
})

test('orders that are current do not count', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 6; id += 1) {
    place(id, id)
    if (id % 2 === 0)
      await addOrder(tenantId, { shopify_order_id: `${id}`, shopify_updated_at: new Date(at(id)) })
  }
  expect(await run({ maxOrders: 3 })).toMatchObject({ triggered: 3, caughtUp: true, cursor: at(6) })
  expect(await waiting()).toEqual([1, 3, 5])
})

test('many pages', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 600; id += 1) place(id, Math.floor(id / 40))
  expect(await run({ maxOrders: 1000 })).toMatchObject({ triggered: 600, caughtUp: true })
  expect(pages()).toBe(3)
  expect(await waiting()).toEqual(Array.from({ length: 600 }, (_, n) => n + 1))
})

test('when a page fails nothing is enqueued and the cursor stays; the next attempt does it all', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 300; id += 1) place(id, id)
  const before = await readCursor()
  const secondPage = ({ body }: { body: { variables: { after: string | null } } }) =>
    body.variables.after !== null
  providers.shopify.answerNext({ status: 500, body: 'x' }, { matches: secondPage })
  const error = await run().catch((reason: unknown) => reason)
  expect(readServiceError(error)).toMatchObject({ kind: 'transient' })
  expect(await readCursor()).toEqual(before)
  expect(await waiting()).toEqual([])
  expect(await run()).toMatchObject({ triggered: 300, caughtUp: true })
})

test('a shop that asks to wait between two pages: what was read is kept, and the run goes on from there', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 300; id += 1) place(id, id)
  providers.shopify.bucket.currentlyAvailable = providers.shopify.queryCost
  const error = await run().catch((reason: unknown) => reason)
  expect(readServiceError(error)).toMatchObject({ kind: 'limited' })
  expect(await readCursor()).toEqual({ updatedAt: at(250), id: '250', caughtUp: false })
  expect(await waiting()).toHaveLength(250)

  // Not even a first page: nothing was read, and nothing moves.
  await kit.advance('1h')
  await expect(run()).rejects.toThrow()
  expect(await readCursor()).toMatchObject({ id: '250' })

  providers.shopify.bucket.currentlyAvailable = 2_000
  await kit.advance('1h')
  expect(await run()).toMatchObject({ triggered: 50, caughtUp: true })
  expect(await waiting()).toHaveLength(300)
})

test('through the queue, throttled on the way: held, and then it comes to its end', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 300; id += 1) place(id, id)
  providers.shopify.bucket.currentlyAvailable = providers.shopify.queryCost
  await reconcileOrders.trigger({ tenantId })
  await kit.drain({ only: [reconcileOrders] })
  expect(await readCursor()).toMatchObject({ id: '250', caughtUp: false })
  providers.shopify.bucket.currentlyAvailable = 100_000
  await kit.advance('1h')
  await kit.drain({ only: [reconcileOrders] })
  expect(await readCursor()).toMatchObject({ id: '300', caughtUp: true })
})

test('two runs at once: every order once, and the cursor at the end', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 20; id += 1) place(id, id)
  await Promise.all([run(), run(), run()])
  expect(await waiting()).toHaveLength(20)
  expect(await readCursor()).toMatchObject({ id: '20', caughtUp: true })
})

test('a run that was taken for lost does not move the cursor of a later one', async () => {
  await setCursor(-10, 1, true)
  for (let id = 1; id <= 20; id += 1) place(id, id)
  providers.shopify.loseAnswer(async () => {
    await setCursor(500, 9, true)
    return { body: { data: { orders: { nodes: [], pageInfo: { hasNextPage: false, endCursor: null } } } } }
  })
  await run()
  expect(await readCursor()).toMatchObject({ updatedAt: at(500), id: '9' })
})

test('a cursor that nobody can read is an error, not a new beginning', async () => {
  const broken = async (cursor: string) => {
    await withTenant(
      tenantId,
      () => sql`
        INSERT INTO sync_cursors (name, cursor) VALUES ('orders/reconcile', ${cursor})
        ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor`,
    )
    await expect(run()).rejects.toThrow()
  }
  await broken('nonsense')
  await broken('{"updatedAt":"yesterday","id":"1","caughtUp":true}')
})

test.each([{ lookbackHours: 0 }, { lookbackHours: 9999 }, { maxOrders: 0 }, { maxOrders: 1.5 }])(
  'the payload %o is refused',
  async (options) => {
    await expect(run(options)).rejects.toThrow(InvalidPayloadError)
  },
)
