/** What every provider may send: its own event, a forged one, an old one, the same again, too much. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { WebhookDelivery } from '../../src/services/service.ts'
import { eventsOf, expectProblem, kit, newAccount, post, runsOf, useServer } from './kit.ts'
import { providers } from './providers.ts'

useServer()

describe.each(providers)('$service', (provider) => {
  const { service, type, deliver, readAbout, newCredentials } = provider

  test('an event becomes a run of the tenant, and is answered at once', async () => {
    const account = await newAccount(provider)
    const delivery = deliver({ ...account, id: randomUUID(), about: 'thing_1' })
    expect(await post(account.tenantId, service, delivery)).toMatchObject({
      status: 200,
      body: { received: true },
    })

    const about = readAbout(JSON.parse(delivery.body))
    const run = await kit.assertEnqueued(`inbox/${service}`, { tenantId: account.tenantId })
    expect(run.payload).toEqual({ tenantId: account.tenantId, about, event: expect.any(String) })
    const [event, ...others] = await eventsOf(account.tenantId)
    expect(others).toEqual([])
    expect(event).toMatchObject({ service, type, run_ids: [run.id] })
    await kit.drain()
    expect(await runsOf(account.tenantId)).toMatchObject([{ id: run.id, state: 'completed', output: about }])
  })

  test('the same event again is answered as taken, and triggers nothing', async () => {
    const account = await newAccount(provider)
    const again = () => deliver({ ...account, id: 'event_1', about: 'thing_1' })
    await post(account.tenantId, service, again())
    const second = await post(account.tenantId, service, again())
    expect(second).toMatchObject({ status: 200, body: { received: true, duplicate: true } })
    expect(await runsOf(account.tenantId)).toHaveLength(1)
  })

  test('what is signed with the secret of another tenant is refused', async () => {
    const [account, other] = [await newAccount(provider), await newAccount(provider)]
    const { credentials } = other
    // Signed by it, and otherwise as if it were the tenant's own.
    const forged = { ...account.credentials, ...secretsOf(credentials) }
    const sent = { id: randomUUID(), about: 'thing_1', tenantId: account.tenantId, credentials: forged }
    await expectRefused(account.tenantId, deliver(sent))
  })

  test('without a signature it is refused', async () => {
    const account = await newAccount(provider)
    const { body } = deliver({ ...account, id: randomUUID(), about: 'thing_1' })
    await expectRefused(account.tenantId, { headers: new Headers(), body })
  })

  test('a tenant without the secret is answered like a forgery', async () => {
    const tenantId = await kit.tenant()
    const credentials = newCredentials()
    await expectRefused(tenantId, deliver({ tenantId, credentials, id: randomUUID(), about: 'thing_1' }))
  })

  test('a body of 5 MB is refused, whoever signed it', async () => {
    const account = await newAccount(provider)
    const delivery = deliver({ ...account, id: randomUUID(), about: 'x'.repeat(5_000_000) })
    const body = delivery.body.padEnd(5_000_000)
    expectProblem(await post(account.tenantId, service, { ...delivery, body }), 413, 'BODY_TOO_LARGE')
    expect(await eventsOf(account.tenantId)).toEqual([])
  })

  async function expectRefused(tenantId: string, delivery: WebhookDelivery): Promise<void> {
    await expectForgery(provider, tenantId, delivery)
  }
})

test.each(providers.filter(({ signs }) => signs))(
  '$service: a body that was changed on the way is refused',
  async (provider) => {
    const account = await newAccount(provider)
    const { headers, body } = provider.deliver({ ...account, id: randomUUID(), about: 'thing_1' })
    await expectForgery(provider, account.tenantId, { headers, body: body.replace('thing_1', 'thing_2') })
  },
)

test.each(providers.filter(({ ages }) => ages))(
  '$service: a signature of ten minutes ago is refused',
  async (provider) => {
    const account = await newAccount(provider)
    const at = new Date(Date.now() - 600_000)
    const delivery = provider.deliver({ ...account, id: randomUUID(), about: 'thing_1', at })
    await expectForgery(provider, account.tenantId, delivery)
  },
)

async function expectForgery(
  { service, refusedStatus }: (typeof providers)[number],
  tenantId: string,
  delivery: WebhookDelivery,
): Promise<void> {
  expectProblem(await post(tenantId, service, delivery), refusedStatus, 'SIGNATURE_INVALID')
  expect(await eventsOf(tenantId)).toEqual([])
  expect(await runsOf(tenantId)).toEqual([])
}

function secretsOf({ shop_domain, ...secrets }: Readonly<Record<string, string>>) {
  return secrets
}
