/** What the inline engine cannot show: claims and runs commit in one transaction, and runs are looked up in Postgres. */
import { expect, test } from 'vitest'
import { runs, sql, transaction, withTenant } from '../../../src/default-platform.ts'
import { adminDailyDigest } from '../../../tasks/digest/admin-daily.ts'
import { processQueue } from '../../../tasks/email/process-queue.ts'
import { sendEmail } from '../../../tasks/email/send.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { addClaimed, addEmail, entries, entry } from './entries.ts'

const tasks = [processQueue, sendEmail, adminDailyDigest]
const providers = useProviders(['resend'], { engine: 'pg-boss', tasks })

test('due emails are claimed, sent, and their claims looked at', async () => {
  const entryId = await addEmail(tenantId)
  const cancelled = await sendEmail.trigger({ tenantId, entryId: 'later' }, { delay: '1h' })
  const open = await sendEmail.trigger({ tenantId, entryId: 'later' }, { delay: '1h' })
  await runs.cancel(cancelled.id)
  const updated_at = new Date(Date.now() - 16 * 60_000)
  const stale = await addClaimed(tenantId, { updated_at, send_run: cancelled.id })
  const waiting = await addClaimed(tenantId, { updated_at, send_run: open.id })

  const { id } = await processQueue.trigger({ tenantId })
  await kit.drain()
  expect((await runs.get(id)).output).toEqual({ claimed: 2, reset: 1 })
  for (const sent of [entryId, stale]) {
    expect(await entry(tenantId, sent)).toMatchObject({ status: 'sent', claimed_by_run: id, attempts: 1 })
  }
  expect(await entry(tenantId, waiting)).toMatchObject({ status: 'processing', claimed_by_run: 'a run' })
})

test('an email that somebody else has locked is left to them, without waiting', async () => {
  const entryId = await addEmail(tenantId)
  await withTenant(tenantId, () =>
    transaction(async () => {
      await sql`SELECT FROM email_queue WHERE id = ${entryId} FOR UPDATE`
      expect(await kit.runTask(processQueue, { tenantId })).toEqual({ claimed: 0, reset: 0 })
    }),
  )
  await kit.refuteEnqueued(sendEmail, { tenantId })
  expect(await kit.runTask(processQueue, { tenantId })).toEqual({ claimed: 1, reset: 0 })
  await kit.assertEnqueued(sendEmail, { tenantId, payload: { entryId } })
})

test('a day’s failed runs are found there, and the digest is sent', async () => {
  const bad = await addEmail(tenantId, { template: 'nope' })
  await sendEmail.trigger({ tenantId, entryId: bad })
  await kit.drain()
  const { rows } = await sql<{ today: string }>`SELECT (now() AT TIME ZONE 'UTC')::date::text AS today`
  await adminDailyDigest.trigger({ tenantId, date: rows[0]!.today, recipients: ['boss@x.test'] })
  await kit.drain()
  const [digest] = await entries(tenantId, 'digest')
  expect(digest).toMatchObject({
    status: 'sent',
    data: { failedRuns: { count: 1, isAll: true, byTask: [{ taskId: 'email/send', count: 1 }] } },
  })
  expect(providers.resend.emails.at(-1)!.text).toContain('email/send: 1\n')
})
