import { describe, expect, test } from 'vitest'
import { recordDelivery } from '../../../tasks/email/record-delivery.ts'
import { sendEmail } from '../../../tasks/email/send.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { set } from '../rows.ts'
import { addClaimed, addEmail, entry } from './entries.ts'

const providers = useProviders(['resend'], { tasks: [sendEmail, recordDelivery] })

/** What the platform triggers for a webhook of Resend; null: nothing. */
function payloadOf(body: unknown) {
  const type = (body as { type?: string })?.type ?? ''
  const [webhook] = recordDelivery.webhooks
  const read = webhook!.events.includes(type) ? webhook!.payload({ id: 'msg_1', type, body }) : null
  return read as Record<string, string> | null
}

const record = (payload: object) => kit.runTask(recordDelivery, { tenantId, ...payload } as never)

/** Sends an email and answers what Resend has of it. */
async function send() {
  const entryId = await addClaimed(tenantId)
  await kit.runTask(sendEmail, { tenantId, entryId })
  return { entryId, email: providers.resend.emails.at(-1)! }
}

/** Resend has it; we do not know. */
async function sendWithoutAnswer() {
  const entryId = await addClaimed(tenantId)
  providers.resend.loseAnswer()
  await expect(kit.runTask(sendEmail, { tenantId, entryId })).rejects.toThrow()
  return { entryId, email: providers.resend.emails.at(-1)! }
}

const bounce = { bounce: { type: 'Permanent', subType: 'General', message: 'No such mailbox.' } }

describe('an event of an email that was sent', () => {
  test('delivered: when', async () => {
    const { entryId, email } = await send()
    const payload = payloadOf(providers.resend.event('email.delivered', email))
    expect(payload).toEqual({ messageId: email.id, event: 'email.delivered', entryId })
    expect(await record(payload!)).toEqual({ recorded: true, entryId, status: 'sent' })
    const first = await entry(tenantId, entryId)
    expect(first).toMatchObject({ status: 'sent', delivered_at: expect.any(Date), error_message: null })
    await record(payload!)
    expect((await entry(tenantId, entryId)).delivered_at).toEqual(first.delivered_at)
  })

  test.each([
    ['email.bounced', bounce, 'email.bounced: Permanent, No such mailbox.'],
    ['email.failed', { failed: { reason: 'reached_daily_quota' } }, 'email.failed: reached_daily_quota'],
    [
      'email.suppressed',
      { suppressed: { message: 'On the list.', type: 'x' } },
      'email.suppressed: On the list.',
    ],
    ['email.bounced', {}, 'email.bounced'],
    ['email.bounced', { bounce: 'odd' }, 'email.bounced'],
  ])('%s %j: failed, and why', async (type, more, error_message) => {
    const { entryId, email } = await send()
    expect(await record(payloadOf(providers.resend.event(type, email, more))!)).toEqual({
      recorded: true,
      entryId,
      status: 'failed',
    })
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      error_message,
      resend_message_id: email.id,
      delivered_at: null,
    })
  })

  test('a complaint: it arrived, and somebody did not want it', async () => {
    const { entryId, email } = await send()
    await record(payloadOf(providers.resend.event('email.complained', email))!)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      error_message: 'email.complained',
      delivered_at: expect.any(Date),
    })
  })

  test('a bounce is the last word, whatever comes after it', async () => {
    const { entryId, email } = await send()
    await record(payloadOf(providers.resend.event('email.bounced', email, bounce))!)
    await record(payloadOf(providers.resend.event('email.delivered', email))!)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'failed',
      error_message: expect.stringContaining('No such mailbox'),
    })
  })

  test('that is being sent anew says nothing about the new one', async () => {
    const { entryId, email } = await send()
    await set(tenantId, 'email_queue', entryId, 'status', 'pending')
    expect(await record(payloadOf(providers.resend.event('email.bounced', email, bounce))!)).toMatchObject({
      recorded: false,
    })
    expect((await entry(tenantId, entryId)).status).toBe('pending')
  })
})

describe('an event of an email whose answer was lost', () => {
  test('tells that there is one, and nothing is sent any more', async () => {
    const { entryId, email } = await sendWithoutAnswer()
    expect((await entry(tenantId, entryId)).resend_message_id).toBeNull()
    await record(payloadOf(providers.resend.event('email.delivered', email))!)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      sent_at: expect.any(Date),
      resend_message_id: email.id,
      message: null,
      unanswered_since: null,
    })
    expect(await kit.runTask(sendEmail, { tenantId, entryId })).toMatchObject({ alreadySent: true })
  })

  test('also after it was given up, or set back', async () => {
    for (const status of ['failed', 'pending']) {
      const { entryId, email } = await sendWithoutAnswer()
      await set(tenantId, 'email_queue', entryId, 'status', status)
      await set(tenantId, 'email_queue', entryId, 'error_message', 'could be sent twice')
      await record(payloadOf(providers.resend.event('email.delivered', email))!)
      expect(await entry(tenantId, entryId)).toMatchObject({ status: 'sent', error_message: null })
    }
  })

  test('a bounce ends it', async () => {
    const { entryId, email } = await sendWithoutAnswer()
    await record(payloadOf(providers.resend.event('email.bounced', email, bounce))!)
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'failed', resend_message_id: email.id })
  })
})

describe('an event of nothing we know', () => {
  test('an unknown email is no error, nor is another tenant’s', async () => {
    const none = { recorded: false, reason: expect.stringContaining('no email in the queue') }
    expect(await record({ messageId: 'nope', event: 'email.bounced' })).toEqual(none)
    expect(await record({ messageId: 'nope', event: 'email.bounced', entryId: 'nope' })).toEqual(none)
    const theirs = await kit.tenant()
    const entryId = await addEmail(theirs)
    expect(await record({ messageId: 'm', event: 'email.delivered', entryId })).toEqual(none)
  })

  test('an entry has the email it has: another id does not take it over', async () => {
    const { entryId, email } = await send()
    expect(await record({ messageId: 'other', event: 'email.bounced', entryId })).toMatchObject({
      recorded: false,
    })
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'sent', resend_message_id: email.id })
  })

  test.each([
    null,
    'text',
    {},
    { type: 'email.bounced' },
    { type: 'email.bounced', data: { email_id: '' } },
    { type: 'email.opened', data: { email_id: 'm' } },
  ])('a body that is none of ours triggers nothing: %j', (body) => {
    expect(payloadOf(body)).toBeNull()
  })

  test('a reason may be long, and hold what Postgres does not store', async () => {
    const { email } = await send()
    const message = `\0${'x'.repeat(899)}\ud83d\ude00`
    const payload = payloadOf(providers.resend.event('email.failed', email, { failed: { reason: message } }))
    expect(await record(payload!)).toMatchObject({ recorded: true })
    expect(payload!.reason).toHaveLength(900)
  })
})

test('tags come as a list or as an object', () => {
  const [webhook] = recordDelivery.webhooks
  const read = (tags: unknown) =>
    webhook!.payload({
      id: 'msg_1',
      type: 'email.bounced',
      body: { type: 'email.bounced', data: { email_id: 'mail_1', tags } },
    })
  expect(read({ entry_id: 'entry_1' })).toMatchObject({ entryId: 'entry_1' })
  expect(read([{ name: 'entry_id', value: 'entry_1' }])).toMatchObject({ entryId: 'entry_1' })
  for (const tags of [undefined, [], {}, 'x', [{ name: 5 }]]) expect(read(tags)).not.toHaveProperty('entryId')
})
