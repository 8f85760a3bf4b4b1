import { expect, test } from 'vitest'
import { sql, withTenant } from '../../../src/default-platform.ts'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { approveCreator } from '../../../tasks/creators/approve.ts'
import { expectAbort, kit, tenantId, useTestPlatform } from '../kit.ts'
import { addCreator, find } from '../rows.ts'

useTestPlatform()

const run = (creatorId: string, options: { approvedBy?: string; tier?: 'gold' | 'silver' } = {}) =>
  kit.runTask(approveCreator, { tenantId, creatorId, approvedBy: 'u1', ...options })

async function emailsTo(creatorId: string) {
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ dedupe_key: string; data: unknown; scheduled_at: Date }>`
      SELECT dedupe_key, data, scheduled_at FROM email_queue
      WHERE dedupe_key LIKE ${`creator:${creatorId}:%`} ORDER BY dedupe_key`,
  )
  return rows
}

test('a pending creator is approved and gets the welcome sequence', async () => {
  const creatorId = await addCreator(tenantId, { status: 'pending' })
  expect(await run(creatorId, { tier: 'gold' })).toEqual({
    creatorId,
    tier: 'gold',
    alreadyApproved: false,
    emailsQueued: 3,
  })
  const creator = await find(tenantId, 'creators', creatorId)
  expect(creator).toMatchObject({ status: 'approved', tier: 'gold', approved_by: 'u1' })
  const emails = await emailsTo(creatorId)
  expect(emails.map(({ dedupe_key }) => dedupe_key)).toEqual(
    [1, 2, 3].map((n) => `creator:${creatorId}:welcome:${n}`),
  )
  expect(emails[0]!.data).toEqual({ creatorId })
  const days = emails.map(
    ({ scheduled_at }) => (scheduled_at.getTime() - creator.approved_at.getTime()) / 86_400_000,
  )
  expect(days.map(Math.round)).toEqual([0, 3, 7])
})

test('the same approval again is harmless; another one is refused', async () => {
  const creatorId = await addCreator(tenantId, { status: 'pending' })
  await run(creatorId, { tier: 'gold' })
  expect(await run(creatorId, { tier: 'gold' })).toMatchObject({ alreadyApproved: true, emailsQueued: 0 })
  expect(await run(creatorId)).toMatchObject({ alreadyApproved: true, tier: 'gold' })
  await expectAbort(run(creatorId, { approvedBy: 'u2' }), /is approved \(tier gold, approved by u1\)/)
  await expectAbort(run(creatorId, { tier: 'silver' }), /is approved/)
})

test.each(['active', 'paused', 'terminated'])('a creator who is %s is not approved', async (status) => {
  await expectAbort(run(await addCreator(tenantId, { status })), new RegExp(`is ${status}`))
})

test('a creator or a tier that is not there', async () => {
  await expectAbort(run('nope'), /no creator nope/)
  await expect(run('x', { tier: 'tin' as never })).rejects.toThrow(InvalidPayloadError)
})

test('of runs at once, one approves; the tier of the application stays', async () => {
  const creatorId = await addCreator(tenantId, { status: 'pending', tier: 'silver' })
  const answers = await Promise.all(Array.from({ length: 8 }, () => run(creatorId)))
  expect(answers.filter(({ alreadyApproved }) => !alreadyApproved)).toHaveLength(1)
  expect(answers.map(({ tier }) => tier)).toEqual(Array(8).fill('silver'))
  expect(await emailsTo(creatorId)).toHaveLength(3)
})
