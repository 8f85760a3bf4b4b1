import { describe, expect, test } from 'vitest'
import { setCredential, sql, transaction, withTenant } from '../../../src/default-platform.ts'
import { ServiceHeldError } from '../../../src/errors.ts'
import { processQueue } from '../../../tasks/email/process-queue.ts'
import { sendEmail } from '../../../tasks/email/send.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { addCreator, set } from '../rows.ts'
import { addClaimed, addEmail, entry } from './entries.ts'

const providers = useProviders(['resend'], { tasks: [processQueue, sendEmail] })

const run = (entryId: string, options = {}) => kit.runTask(sendEmail, { tenantId, entryId }, options)
const sentFor = (entryId: string) =>
  providers.resend.emails.filter(({ idempotencyKey }) => idempotencyKey === entryId)

describe('an entry', () => {
  test('is one email: written, sent under its own key, and kept as sent', async () => {
    const entryId = await addClaimed(tenantId, { recipient: 'ada@x.test', subject: 'Hello\r\nBcc: a@x.test' })
    const output = await run(entryId)
    const [email] = sentFor(entryId)
    expect(output).toEqual({ entryId, status: 'sent', messageId: email!.id, alreadySent: false })
    expect(email).toMatchObject({
      from: expect.stringContaining('@shop.test'),
      to: ['ada@x.test'],
      subject: 'Hello Bcc: a@x.test',
      text: expect.stringMatching(/^Welcome, Ada\n/),
      html: expect.stringContaining('Welcome, Ada</h1>'),
      tags: [{ name: 'entry_id', value: entryId }],
    })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      sent_at: expect.any(Date),
      resend_message_id: email!.id,
      attempts: 1,
      error_message: null,
      message: null,
      unanswered_since: null,
    })
  })

  test('that is sent is answered without a call', async () => {
    const entryId = await addClaimed(tenantId)
    const { messageId } = await run(entryId)
    expect(await run(entryId)).toEqual({ entryId, status: 'sent', messageId, alreadySent: true })
    expect(providers.resend.requests).toHaveLength(1)
  })

  test('that is pending is claimed by the run itself', async () => {
    const entryId = await addEmail(tenantId)
    await run(entryId, { runId: 'r1' })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      claimed_by_run: 'r1',
      send_run: 'r1',
    })
  })

  test.each(['failed', 'skipped'])('that is %s is refused with its reason', async (status) => {
    const entryId = await addEmail(tenantId, { status, error_message: 'why it is so' })
    await expectAbort(run(entryId), new RegExp(`is ${status} \\(why it is so\\)`))
    expect(providers.resend.requests).toHaveLength(0)
  })

  test('that is not there, or another tenant’s', async () => {
    await expectAbort(run('nope'), /no email nope/)
    await expectAbort(run(await addEmail(await kit.tenant())), /no email/)
  })

  test('about a creator who has left is skipped', async () => {
    const creatorId = await addCreator(tenantId, { status: 'terminated' })
    const entryId = await addClaimed(tenantId, { data: { creatorId } })
    expect(await run(entryId)).toMatchObject({ status: 'skipped', reason: 'creator is terminated' })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'skipped',
      error_message: 'creator is terminated',
      attempts: 0,
    })
  })

  test('of an unknown template, or with data that it cannot use, fails now', async () => {
    const unknown = await addClaimed(tenantId, { template: 'nope' })
    await expectAbort(run(unknown), /no email template "nope"/)
    expect(await entry(tenantId, unknown)).toMatchObject({
      status: 'failed',
      error_message: expect.stringContaining('nope'),
    })

    const unfit = await addClaimed(tenantId, { data: { creatorId: 7 } })
    await expectAbort(run(unfit), /does not fit the template: creatorId/)
    expect(await entry(tenantId, unfit)).toMatchObject({ status: 'failed', attempts: 0 })
  })

  test('whose template breaks is retried, and fails with the last attempt', async () => {
    const sums = [{ currency: 'no currency', cents: '1' }]
    const data = {
      from: '2026-03-06',
      date: '2026-03-06',
      orders: { placed: 1, cancelled: 0, sales: sums },
      creators: { applied: 0, approved: 0, waiting: 0 },
      payouts: { completed: 0, paid: [], failed: 0, underWay: 0 },
      failedRuns: { count: 0, isAll: true, byTask: [] },
      paragraph: null,
    }
    const entryId = await addClaimed(tenantId, { template: 'admin-daily-digest', data })
    await expect(run(entryId, { attempt: 1 })).rejects.toThrow(RangeError)
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'processing', error_message: null })
    await expect(run(entryId, { attempt: 5 })).rejects.toThrow(RangeError)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      error_message: expect.stringContaining('failed with RangeError'),
    })
  })
})

describe('an answer that never came', () => {
  test('is asked for again with the same key and the same text, whatever has changed meanwhile', async () => {
    const entryId = await addClaimed(tenantId, { recipient: 'ada@x.test' })
    providers.resend.loseAnswer()
    await expect(run(entryId)).rejects.toThrow(/Resend/)
    const kept = await entry(tenantId, entryId)
    expect(kept).toMatchObject({
      status: 'processing',
      attempts: 1,
      unanswered_since: expect.any(Date),
      message: { to: 'ada@x.test', subject: 'Welcome' },
    })

    // What a mail is made of: rows, the address of the tenant, the entry itself.
    await set(tenantId, 'creators', kept.data.creatorId, 'first_name', 'Augusta')
    await set(tenantId, 'email_queue', entryId, 'recipient', 'other@x.test')
    await setCredential(tenantId, 'resend', { from_address: 'other@shop.test' })
    const { messageId } = await run(entryId, { attempt: 2 })
    expect(sentFor(entryId).map(({ id, to }) => ({ id, to }))).toEqual([
      { id: messageId, to: ['ada@x.test'] },
    ])
    const [first, second] = providers.resend.received('POST', '/emails')
    expect(second!.text).toBe(first!.text)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      resend_message_id: messageId,
      attempts: 2,
      message: null,
      unanswered_since: null,
    })
  })

  test('of Resend with an error of its own is one email as well', async () => {
    const entryId = await addClaimed(tenantId)
    const answer = { status: 500, body: { statusCode: 500, name: 'internal_server_error', message: 'x' } }
    providers.resend.loseAnswer(answer)
    await expect(run(entryId)).rejects.toMatchObject({ status: 500 })
    await run(entryId, { attempt: 2 })
    expect(sentFor(entryId)).toHaveLength(1)
  })

  test('is not asked for once Resend may have forgotten the key: a person decides', async () => {
    const since = new Date(Date.now() - 23.1 * 3_600_000)
    const message = { from: 'a@shop.test', to: 'b@x.test', subject: 'x', text: 'x', html: 'x', tags: [] }
    const entryId = await addClaimed(tenantId, {
      unanswered_since: since,
      message: JSON.stringify(message),
      attempts: 1,
    })
    await expectAbort(run(entryId), /could send it a second time/)
    expect(providers.resend.requests).toHaveLength(0)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      error_message: expect.stringContaining(since.toISOString()),
      attempts: 1,
      message: null,
      unanswered_since: null,
    })

    // Who has looked, and it is not there:
    await set(tenantId, 'email_queue', entryId, 'status', 'pending')
    await run(entryId)
    expect(sentFor(entryId)).toHaveLength(1)
  })

  test('of an earlier request is not forgotten when a later one is refused', async () => {
    const entryId = await addClaimed(tenantId)
    providers.resend.loseAnswer()
    await expect(run(entryId)).rejects.toThrow()
    const before = await entry(tenantId, entryId)
    providers.resend.answerNext(tooMany)
    await expect(run(entryId)).rejects.toMatchObject({ status: 429 })
    const { message, unanswered_since } = before
    expect(await entry(tenantId, entryId)).toMatchObject({ attempts: 2, message, unanswered_since })
    await kit.advance('3s')

    providers.resend.answerNext({ status: 422, body: { name: 'validation_error', message: 'No.' } })
    await expect(run(entryId)).rejects.toThrow('No.')
    expect((await entry(tenantId, entryId)).error_message).toMatch(
      /^validation_error: No. .*may have been sent/,
    )
  })
})

describe('a request that Resend refuses', () => {
  test('for good fails the entry with its reason', async () => {
    const entryId = await addClaimed(tenantId, { recipient: 'no address' })
    await expect(run(entryId)).rejects.toMatchObject({ code: 'validation_error' })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      attempts: 1,
      error_message: expect.stringMatching(/^validation_error: Invalid `to` field/),
      resend_message_id: null,
      message: null,
      unanswered_since: null,
    })
  })

  test('for now is none: days later the mail is written anew', async () => {
    const entryId = await addClaimed(tenantId)
    providers.resend.answerNext(tooMany)
    await expect(run(entryId)).rejects.toMatchObject({ status: 429 })
    const waiting = await entry(tenantId, entryId)
    expect(waiting).toMatchObject({
      status: 'processing',
      attempts: 1,
      message: null,
      unanswered_since: null,
    })

    await set(tenantId, 'creators', waiting.data.creatorId, 'first_name', 'Augusta')
    await kit.advance('3s')
    await run(entryId)
    expect(sentFor(entryId)[0]!.text).toMatch(/^Welcome, Augusta/)
    expect((await entry(tenantId, entryId)).attempts).toBe(2)
  })

  test('because of its key holds the runs of the tenant', async () => {
    const entryId = await addClaimed(tenantId)
    const unauthorized = { status: 401, body: { name: 'invalid_api_key', message: 'API key is invalid' } }
    providers.resend.answerNext(unauthorized)
    await sendEmail.trigger({ tenantId, entryId })
    await kit.drain()
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'processing', message: null, attempts: 1 })
    await kit.assertEnqueued(sendEmail, { tenantId })

    // A second one is stopped before it leaves.
    const second = await addClaimed(tenantId)
    await sendEmail.trigger({ tenantId, entryId: second })
    await kit.drain()
    expect(providers.resend.requests).toHaveLength(1)
    expect(await entry(tenantId, second)).toMatchObject({ attempts: 0, unanswered_since: null })
  })

  test('stops others on their way out, and theirs do not count', async () => {
    const [refused, stopped] = [await addClaimed(tenantId), await addClaimed(tenantId)]
    const { promise: locked, resolve: unlock } = Promise.withResolvers<void>()
    const { promise: isLocked, resolve: hasLock } = Promise.withResolvers<void>()
    const lock = withTenant(tenantId, () =>
      transaction(async () => {
        await sql`SELECT FROM email_queue WHERE id = ${stopped} FOR UPDATE`
        hasLock()
        await locked
      }),
    )
    await isLocked
    // It has passed the gate of its service, and waits for the row.
    const stopping = run(stopped)
    await expect.poll(async () => (await waitingForLocks()).length).toBe(1)
    providers.resend.answerNext(tooMany)
    await expect(run(refused)).rejects.toMatchObject({ status: 429 })
    unlock()
    await lock
    await expect(stopping).rejects.toThrow(ServiceHeldError)
    expect(providers.resend.requests).toHaveLength(1)
    expect(await entry(tenantId, stopped)).toMatchObject({
      status: 'processing',
      attempts: 0,
      message: null,
      unanswered_since: null,
    })
  })

  test('because of its key is followed by an email once there is another one', async () => {
    const entryId = await addClaimed(tenantId)
    providers.resend.answerNext({
      status: 401,
      body: { name: 'invalid_api_key', message: 'API key is invalid' },
    })
    await sendEmail.trigger({ tenantId, entryId })
    await kit.drain()
    providers.resend.keys.add('re_another')
    await setCredential(tenantId, 'resend', { api_key: 're_another' })
    await kit.drain()
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'sent', attempts: 2 })
  })
})

describe('a key that Resend knows', () => {
  test('with another text: an email of this entry went out, and a person is told', async () => {
    const entryId = await addClaimed(tenantId)
    await run(entryId)
    await set(tenantId, 'email_queue', entryId, 'subject', 'Welcome again')
    await set(tenantId, 'email_queue', entryId, 'status', 'pending')
    await expect(run(entryId)).rejects.toMatchObject({ code: 'invalid_idempotent_request' })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      error_message: expect.stringMatching(/within the last 24 hours/),
      attempts: 2,
    })
  })

  test('with the same text: Resend answers the first email, and that is no new one', async () => {
    const entryId = await addClaimed(tenantId)
    const { messageId } = await run(entryId)
    await set(tenantId, 'email_queue', entryId, 'status', 'pending')
    await expectAbort(run(entryId), /within the last 24 hours/)
    expect(sentFor(entryId)).toHaveLength(1)
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'failed', resend_message_id: messageId })

    providers.resend.forgetIdempotencyKeys()
    await set(tenantId, 'email_queue', entryId, 'status', 'pending')
    const again = await run(entryId)
    expect(again.messageId).not.toBe(messageId)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      resend_message_id: again.messageId,
      error_message: null,
    })
  })
})

describe('two runs for one entry', () => {
  test('send one email, though the rows change between them', async () => {
    const entryId = await addClaimed(tenantId)
    const { creatorId } = (await entry(tenantId, entryId)).data
    const go = providers.resend.pause()
    const first = run(entryId)
    await expect.poll(() => providers.resend.requests.length).toBe(1)
    await set(tenantId, 'creators', creatorId, 'first_name', 'Augusta')
    // Resend says that the first is under way.
    await expect(run(entryId)).rejects.toMatchObject({ code: 'concurrent_idempotent_requests' })
    go()
    const { messageId } = await first
    expect(await run(entryId, { attempt: 2 })).toMatchObject({ messageId, alreadySent: true })
    expect(sentFor(entryId)).toHaveLength(1)
  })

  test('of ten at once, one email', async () => {
    const entryId = await addClaimed(tenantId)
    const answers = await Promise.allSettled(Array.from({ length: 10 }, () => run(entryId)))
    const messageIds = answers.flatMap((answer) =>
      answer.status === 'fulfilled' ? [answer.value.messageId] : [],
    )
    expect(new Set(messageIds)).toEqual(new Set([sentFor(entryId)[0]!.id]))
    expect(sentFor(entryId)).toHaveLength(1)
    expect((await entry(tenantId, entryId)).status).toBe('sent')
  })

  test('a bounce that is faster than the answer stands', async () => {
    const entryId = await addClaimed(tenantId)
    const go = providers.resend.pause()
    const sending = run(entryId)
    await expect.poll(() => providers.resend.requests.length).toBe(1)
    await set(tenantId, 'email_queue', entryId, 'status', 'failed')
    await set(tenantId, 'email_queue', entryId, 'error_message', 'email.bounced')
    go()
    expect(await sending).toMatchObject({ status: 'failed' })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      error_message: 'email.bounced',
      resend_message_id: sentFor(entryId)[0]!.id,
    })
  })
})

test('through the queue: claimed, sent, and nothing left to do', async () => {
  const entryIds = [await addEmail(tenantId), await addEmail(tenantId)]
  await processQueue.trigger({ tenantId })
  expect(await kit.drain()).toMatchObject({ completed: 3, failed: 0 })
  for (const id of entryIds) expect(await entry(tenantId, id)).toMatchObject({ status: 'sent', attempts: 1 })
  await processQueue.trigger({ tenantId })
  expect(await kit.drain()).toMatchObject({ completed: 1 })
  expect(providers.resend.requests).toHaveLength(2)
})

async function waitingForLocks() {
  const { rows } = await sql`
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%email_queue%'`
  return rows
}

const tooMany = {
  status: 429,
  headers: { 'retry-after': '2' },
  body: { statusCode: 429, name: 'rate_limit_exceeded', message: 'Too many requests.' },
}
