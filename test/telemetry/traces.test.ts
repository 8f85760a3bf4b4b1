/**
 * One trace from an app's own span over the queue to the provider, and through a child run; on pg-boss and inline, with
 * the real SDK of OpenTelemetry and Stripe's against a local server.
 */
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { runs, setCredential, transaction, withTenant } from '../../src/default-platform.ts'
import { AbortTaskError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { snooze } from '../../src/task/snooze.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/platform.ts'
import { StripeServer } from '../fixtures/providers/stripe.ts'
import { allSpans, forgetSpans, inAppSpan, pathOf, spanOf, spansOf } from './sdk.ts'

const secretKey = 'sk_test_traces0123456789'

const charge = defineTask({
  id: 'traces/charge',
  payload: tenantPayload({}),
  services: ['stripe'],
  run: async (_, { clients }) => (await clients.stripe.balance.retrieve()).object,
})
const parent = defineTask({
  id: 'traces/parent',
  payload: tenantPayload({}),
  run: async ({ tenantId }) => (await charge.triggerAndWait({ tenantId })).ok,
})
const ending = defineTask({
  id: 'traces/ending',
  payload: tenantPayload({ how: z.enum(['retry', 'fail', 'snooze']) }),
  run: ({ how }) => {
    if (how === 'snooze') snooze('1h')
    if (how === 'fail') throw new AbortTaskError(`The key ${secretKey} is of no use.`)
    throw Object.assign(new Error('busy'), { code: 'E_BUSY' })
  },
})
const note = defineTask({ id: 'traces/note', payload: tenantPayload({}), run: () => null })

describe.each(['pg-boss', 'inline'] as const)('on %s', (engine) => {
  let platform: TestPlatform
  let stripe: StripeServer
  let tenantId: string
  beforeAll(async () => {
    stripe = await new StripeServer(secretKey).listen()
    platform = await createTestPlatform({
      engine,
      tasks: [charge, parent, ending, note],
      services: { stripe: { baseUrl: stripe.url } },
      encryptionKeys: 'a'.repeat(64),
    })
    tenantId = await platform.tenant()
    await setCredential(tenantId, 'stripe', { secret_key: secretKey })
  })
  beforeEach(forgetSpans)
  afterAll(async () => {
    await platform.close()
    await stripe.close()
  })

  test('from the app to the provider, through a child run', async () => {
    let runId = ''
    const traceId = await inAppSpan(async () => {
      runId = (await parent.trigger({ tenantId })).id
    })
    await platform.drain()

    expect(spansOf(traceId).map(pathOf).sort()).toEqual([
      'GET /checkout',
      'GET /checkout > send traces/parent',
      'GET /checkout > send traces/parent > process traces/parent',
      'GET /checkout > send traces/parent > process traces/parent > send traces/charge',
      'GET /checkout > send traces/parent > process traces/parent > send traces/charge > process traces/charge',
      'GET /checkout > send traces/parent > process traces/parent > send traces/charge > process traces/charge > GET stripe',
    ])
    const send = spanOf(traceId, 'send traces/parent')
    const attempt = spanOf(traceId, 'process traces/parent')
    const call = spanOf(traceId, 'GET stripe')
    expect(send).toMatchObject({
      kind: SpanKind.PRODUCER,
      attributes: {
        'messaging.system': 'cgk',
        'messaging.operation.type': 'send',
        'messaging.destination.name': 'traces/parent',
        'messaging.message.id': runId,
        'cgk.task.id': 'traces/parent',
        'cgk.tenant.id': tenantId,
        'cgk.run.id': runId,
      },
    })
    expect(attempt).toMatchObject({
      kind: SpanKind.CONSUMER,
      attributes: {
        'messaging.operation.type': 'process',
        'cgk.run.id': runId,
        'cgk.tenant.id': tenantId,
        'cgk.attempt': 1,
        'cgk.outcome': 'completed',
      },
      status: { code: SpanStatusCode.UNSET },
    })
    expect(call).toMatchObject({ kind: SpanKind.CLIENT, status: { code: SpanStatusCode.UNSET } })
    expect(call.attributes).toEqual({
      'cgk.service': 'stripe',
      'cgk.tenant.id': tenantId,
      'http.request.method': 'GET',
      'http.response.status_code': 200,
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(stripe.url).port),
    })
    // Stripe was told nothing of it.
    expect(stripe.requests.at(-1)!.headers).not.toHaveProperty('traceparent')
    const run = await runs.get(runId)
    expect(run.traceparent).toBe(`00-${traceId}-${send.spanContext().spanId}-01`)
  })

  test('a run that is triggered in a transaction', async () => {
    const traceId = await inAppSpan(() =>
      withTenant(tenantId, () => transaction(() => note.trigger({ tenantId }))),
    )
    await platform.drain()
    expect(spansOf(traceId).map(pathOf).sort()).toEqual([
      'GET /checkout',
      'GET /checkout > send traces/note',
      'GET /checkout > send traces/note > process traces/note',
    ])
  })

  test('a batch of 1,000 is one span, and every run hangs below it', async () => {
    const traceId = await inAppSpan(() =>
      note.batchTrigger(Array.from({ length: 1_000 }, () => ({ payload: { tenantId } }))),
    )
    await platform.drain({ concurrency: 100 })
    const send = spanOf(traceId, 'send traces/note')
    const attempts = spansOf(traceId).filter(({ name }) => name === 'process traces/note')
    expect(send).toMatchObject({
      name: 'send traces/note',
      attributes: { 'messaging.batch.message_count': 1_000, 'cgk.tenant.id': tenantId },
    })
    expect(send.attributes).not.toHaveProperty('cgk.run.id')
    expect(attempts).toHaveLength(1_000)
    expect(spansOf(traceId)).toHaveLength(1_002)
    expect(new Set(attempts.map(pathOf))).toEqual(
      new Set(['GET /checkout > send traces/note > process traces/note']),
    )
  })

  test('every attempt is a span, and tells how it ended', async () => {
    const traceId = await inAppSpan(async () => {
      await ending.trigger({ tenantId, how: 'retry' }, { maxAttempts: 2 })
    })
    await platform.drain()
    await platform.advance('1h')
    await platform.drain()
    const attempts = spansOf(traceId)
      .filter(({ name }) => name === 'process traces/ending')
      .sort((one, other) => Number(one.attributes['cgk.attempt']) - Number(other.attributes['cgk.attempt']))
    expect(attempts.map(({ attributes }) => [attributes['cgk.attempt'], attributes['cgk.outcome']])).toEqual([
      [1, 'retry'],
      [2, 'failed'],
    ])
    for (const { attributes, status, events } of attempts) {
      expect(attributes['error.type']).toBe('E_BUSY')
      expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'busy' })
      expect(events).toMatchObject([
        { name: 'exception', attributes: { 'exception.type': 'Error', 'exception.message': 'busy' } },
      ])
    }
  })

  test('a secret in an error is in no span', async () => {
    // Known to this process from here on: the client has been made.
    await charge.trigger({ tenantId })
    await ending.trigger({ tenantId, how: 'fail' })
    await platform.drain()
    const failed = allSpans().find(({ name }) => name === 'process traces/ending')
    expect(failed!.status.message).toBe('The key [redacted] is of no use.')
    expect(JSON.stringify(allSpans().map(readable))).not.toContain(secretKey)
  })

  test('waiting is no failure', async () => {
    await ending.trigger({ tenantId, how: 'snooze' })
    await platform.drain()
    const [waiting] = allSpans().filter(({ name }) => name === 'process traces/ending')
    expect(waiting).toMatchObject({
      attributes: { 'cgk.outcome': 'postponed', 'cgk.reason': 'SNOOZED' },
      status: { code: SpanStatusCode.UNSET },
    })
  })

  test('a refused call says so; a payload that is refused never becomes a span of the queue', async () => {
    stripe.answerNext({ status: 402, body: { error: { type: 'card_error', code: 'card_declined' } } })
    await charge.trigger({ tenantId })
    await platform.drain()
    expect(allSpans().find(({ name }) => name === 'GET stripe')).toMatchObject({
      attributes: { 'http.response.status_code': 402, 'error.type': '402' },
      status: { code: SpanStatusCode.ERROR },
    })
    forgetSpans()
    stripe.answerNext({ instead: 'reset' })
    await charge.trigger({ tenantId }, { maxAttempts: 1 })
    await platform.drain()
    const unanswered = allSpans().find(({ name }) => name === 'GET stripe')
    expect(unanswered!.attributes['error.type']).toBe('TypeError')
    forgetSpans()
    await expect(ending.trigger({ tenantId, how: 'never' as 'fail' })).rejects.toThrow()
    expect(allSpans()).toEqual([])
  })

  test('a run without a trace begins its own, also where the worker was started inside one', async () => {
    await note.trigger({ tenantId })
    const traceId = await inAppSpan(() => platform.drain())
    expect(spansOf(traceId).map(({ name }) => name)).toEqual(['GET /checkout'])
    expect(allSpans().map(pathOf)).toContain('send traces/note > process traces/note')
  })
})

function readable({ name, attributes, status, events, links }: ReturnType<typeof allSpans>[number]) {
  return { name, attributes, status, events, links }
}
