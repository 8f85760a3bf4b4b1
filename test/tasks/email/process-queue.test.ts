import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { processQueue } from '../../../tasks/email/process-queue.ts'
import { sendEmail } from '../../../tasks/email/send.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { set } from '../rows.ts'
import { addClaimed, addEmail, entry } from './entries.ts'

const providers = useProviders(['resend'], { tasks: [processQueue, sendEmail] })

const run = (payload: { queue?: string; limit?: number } = {}, options = {}) =>
  kit.runTask(processQueue, { tenantId, ...payload }, options)

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000)

describe('due emails', () => {
  test('are claimed with the run’s id, and a run to send each is queued', async () => {
    const entryIds = [await addEmail(tenantId), await addEmail(tenantId)]
    expect(await run({}, { runId: 'r1' })).toEqual({ claimed: 2, reset: 0 })
    for (const id of entryIds) {
      const sending = await kit.assertEnqueued(sendEmail, { tenantId, payload: { entryId: id } })
      expect(await entry(tenantId, id)).toMatchObject({
        status: 'processing',
        claimed_by_run: 'r1',
        send_run: sending.id,
        attempts: 0,
      })
    }
    expect(await run()).toEqual({ claimed: 0, reset: 0 })
  })

  test('are those of now, oldest first, of one kind if asked, and no more than asked', async () => {
    const later = await addEmail(tenantId, { scheduled_at: minutesAgo(-5) })
    const old = await addEmail(tenantId, { scheduled_at: minutesAgo(9) })
    const oldest = await addEmail(tenantId, { scheduled_at: minutesAgo(10), kind: 'review' })
    const young = await addEmail(tenantId, { scheduled_at: minutesAgo(1) })
    const statuses = async () => {
      const rows = [later, oldest, old, young].map(async (id) => (await entry(tenantId, id)).status)
      return await Promise.all(rows)
    }
    expect(await run({ limit: 1, queue: 'creator' })).toEqual({ claimed: 1, reset: 0 })
    expect(await statuses()).toEqual(['pending', 'pending', 'processing', 'pending'])
    expect(await run({ limit: 1 })).toEqual({ claimed: 1, reset: 0 })
    expect(await statuses()).toEqual(['pending', 'processing', 'processing', 'pending'])
    expect(await run()).toEqual({ claimed: 1, reset: 0 })
    expect(await statuses()).toEqual(['pending', 'processing', 'processing', 'processing'])
  })

  test('that are sent, failed or skipped stay as they are', async () => {
    for (const status of ['sent', 'failed', 'skipped']) await addEmail(tenantId, { status })
    expect(await run()).toEqual({ claimed: 0, reset: 0 })
  })

  test('are shared by runs at once: each is claimed by one', async () => {
    const entryIds = await Promise.all(Array.from({ length: 30 }, () => addEmail(tenantId)))
    const answers = await Promise.all(Array.from({ length: 6 }, () => run({ limit: 20 })))
    expect(answers.reduce((sum, { claimed }) => sum + claimed, 0)).toBe(30)
    const { runs: sending } = await runs.list({ tenantId, taskId: sendEmail.id, limit: 100 })
    const sent = sending.map(({ payload }) => (payload as { entryId: string }).entryId)
    expect(sent.sort()).toEqual(entryIds.sort())
  })

  test('a limit is a number from 1 to 1000', async () => {
    for (const limit of [0, 1_001, 1.5]) await expect(run({ limit })).rejects.toThrow(InvalidPayloadError)
  })
})

describe('a claim that nobody has touched', () => {
  test('for long goes back, and is claimed again', async () => {
    const stale = await addClaimed(tenantId, { updated_at: minutesAgo(16), send_run: 'unknown' })
    const older = await addClaimed(tenantId, { updated_at: minutesAgo(60) })
    const young = await addClaimed(tenantId, { updated_at: minutesAgo(14) })
    expect(await run({}, { runId: 'r2' })).toEqual({ claimed: 2, reset: 2 })
    for (const id of [stale, older]) {
      expect(await entry(tenantId, id)).toMatchObject({ status: 'processing', claimed_by_run: 'r2' })
    }
    expect(await entry(tenantId, young)).toMatchObject({ status: 'processing', claimed_by_run: 'a run' })
  })

  test('stays while its run is open, and is not looked at again for a while', async () => {
    const { id: send_run } = await sendEmail.trigger({ tenantId, entryId: 'later' }, { delay: '1h' })
    const id = await addClaimed(tenantId, { updated_at: minutesAgo(16), send_run })
    expect(await run()).toEqual({ claimed: 0, reset: 0 })
    const { status, claimed_by_run, updated_at } = await entry(tenantId, id)
    expect({ status, claimed_by_run }).toEqual({ status: 'processing', claimed_by_run: 'a run' })
    expect(updated_at.getTime()).toBeGreaterThan(minutesAgo(1).getTime())
  })

  test('goes back when its run was cancelled', async () => {
    const { id: send_run } = await sendEmail.trigger({ tenantId, entryId: 'later' }, { delay: '1h' })
    await addClaimed(tenantId, { updated_at: minutesAgo(16), send_run })
    await runs.cancel(send_run)
    expect(await run()).toEqual({ claimed: 1, reset: 1 })
  })

  test('of another kind is left to others', async () => {
    await addClaimed(tenantId, { updated_at: minutesAgo(16) })
    expect(await run({ queue: 'review' })).toEqual({ claimed: 0, reset: 0 })
    expect(await run({ queue: 'creator' })).toEqual({ claimed: 1, reset: 1 })
  })

  test('is taken back by one of runs at once', async () => {
    for (let n = 0; n < 5; n += 1) await addClaimed(tenantId, { updated_at: minutesAgo(16) })
    const answers = await Promise.all(Array.from({ length: 5 }, () => run()))
    expect(answers.reduce((sum, { claimed }) => sum + claimed, 0)).toBe(5)
  })

  test('after its worker died between the call and the write: one email', async () => {
    const entryId = await addClaimed(tenantId)
    providers.resend.loseAnswer()
    await expect(kit.runTask(sendEmail, { tenantId, entryId })).rejects.toThrow()
    expect(await entry(tenantId, entryId)).toMatchObject({ status: 'processing', resend_message_id: null })

    // As the minutes would have it, which this row has not waited for.
    await set(tenantId, 'email_queue', entryId, 'status', 'pending')
    expect(await run()).toEqual({ claimed: 1, reset: 0 })
    await kit.drain()
    const sent = providers.resend.emails.filter(({ idempotencyKey }) => idempotencyKey === entryId)
    expect(sent).toHaveLength(1)
    expect(await entry(tenantId, entryId)).toMatchObject({
      status: 'sent',
      attempts: 2,
      resend_message_id: sent[0]!.id,
    })
  })
})
