/** What an operator does at 3 a.m., over HTTP alone: see what fails, understand it, mend it, replay exactly that. */
import { randomBytes } from 'node:crypto'
import { expect, test, vi } from 'vitest'
import { z } from 'zod'
import { AbortTaskError } from '../../../src/errors.ts'
import { createLogger } from '../../../src/log.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { kit, onPlatform, userOf } from './kit.ts'

const sendReceipt = defineTask({
  id: 'story/send-receipt',
  payload: tenantPayload({ orderId: z.string(), email: z.email().meta({ pii: true }) }),
  services: ['resend'],
  run: ({ orderId }, { clients, logger }) => {
    const from = clients.resend.fromAddress
    logger.info({ from, orderId }, 'Sending a receipt')
    if (from.endsWith('@old.test')) throw new AbortTaskError('The domain old.test is not verified')
    return { from }
  },
})

onPlatform({ tasks: [sendReceipt], logger: createLogger('info', { write: () => {} }) })

test('a failure group of two tenants is found, understood, mended and replayed', async () => {
  const [acme, rawdog, bystander] = [await kit.tenant(), await kit.tenant(), await kit.tenant()]
  const operator = await userOf('operator')
  const setSender = async (tenantId: string, domain: string) => {
    const account = { api_key: `re_${randomBytes(8).toString('hex')}`, from_address: `shop@${domain}` }
    const answer = await operator.put(`/tenants/${tenantId}/credentials/resend`, account)
    expect(answer.status).toBe(204)
  }
  for (const tenantId of [acme, rawdog]) await setSender(tenantId, 'old.test')
  await setSender(bystander, 'new.test')
  for (const [tenantId, orderId] of [
    [acme, 'order_1'],
    [acme, 'order_2'],
    [rawdog, 'order_3'],
    [bystander, 'order_4'],
  ] as const) {
    const payload = { tenantId, orderId, email: 'ada@example.com' }
    expect(await operator.post('/runs', { task: 'story/send-receipt', payload })).toMatchObject({
      status: 201,
    })
  }
  await kit.drain()

  const { failures } = (await operator.get('/failures?state=open')).body
  expect(failures).toMatchObject([
    { taskId: 'story/send-receipt', failures: 3, tenants: 2, message: 'The domain old.test is not verified' },
  ])
  const { fingerprint } = failures[0]

  const { runs } = (await operator.get(`/runs?fingerprint=${fingerprint}`)).body
  expect(runs.map((run: { tenantId: string }) => run.tenantId)).toEqual([rawdog, acme, acme])
  const run = await operator.get(`/runs/${runs[0].id}`)
  expect(run.body).toMatchObject({
    state: 'failed',
    payload: { tenantId: rawdog, orderId: 'order_3', email: '[masked]' },
    attempts: [{ attempt: 1, error: { message: 'The domain old.test is not verified' } }],
    credentials: { resend: expect.any(String) },
  })
  expect((await operator.get(`/runs/${runs[0].id}/logs`)).body.lines).toMatchObject([
    { message: 'Sending a receipt', fields: { from: 'shop@old.test', orderId: 'order_3' } },
  ])

  for (const tenantId of [acme, rawdog]) await setSender(tenantId, 'new.test')

  const preview = (await operator.post('/replays', { filter: { fingerprint, state: ['failed'] } })).body
  expect(preview).toMatchObject({
    total: 3,
    tenants: [
      { tenantId: acme, runs: 2 },
      { tenantId: rawdog, runs: 1 },
    ],
    tasks: [{ taskId: 'story/send-receipt', runs: 3 }],
  })
  const reason = 'Both shops have moved to new.test'
  await operator.post(`/replays/${preview.id}/confirm`, { reason })
  const worker = await kit.platform.startWorker()
  const results = async () => (await operator.get(`/replays/${preview.id}/results`)).body
  await vi.waitUntil(async () => (await results()).completed === 3, { timeout: 20_000, interval: 100 })
  await worker.stop()
  expect((await operator.get(`/replays/${preview.id}`)).body).toMatchObject({
    state: 'completed',
    counts: { done: 3, waiting: 0 },
  })
  const replayed = (await operator.get(`/runs?replayOf=${runs[0].id}`)).body.runs
  expect(replayed).toMatchObject([{ tenantId: rawdog, state: 'completed' }])

  await operator.post(`/failures/${fingerprint}/resolve`)
  expect((await operator.get('/failures?state=open')).body.failures).toEqual([])

  const { entries } = (await operator.get('/audit?limit=20')).body
  const told = entries.map(({ action, tenantId }: { action: string; tenantId: string }) => [action, tenantId])
  expect(told.slice(0, 5)).toEqual([
    ['failure.resolve', null],
    // In the order of their names, which the test has made up.
    ...[acme, rawdog].sort((a, b) => (a < b ? 1 : -1)).map((one) => ['run.replay', one]),
    ['credential.set', rawdog],
    ['credential.set', acme],
  ])
  const { createdBy } = preview
  for (const entry of entries.slice(1, 3)) {
    expect(entry).toMatchObject({ subject: preview.id, reason, actor: createdBy })
  }

  const owner = await userOf('owner', bystander)
  const own = await Promise.all(
    ['/failures', '/runs', '/runs/counts', '/replays', '/audit', `/runs?fingerprint=${fingerprint}`].map(
      owner.get,
    ),
  )
  for (const { status, body } of own) {
    expect(status).toBe(200)
    for (const other of [acme, rawdog, preview.id, fingerprint])
      expect(JSON.stringify(body)).not.toContain(other)
  }
})
