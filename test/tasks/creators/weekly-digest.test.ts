import { expect, test } from 'vitest'
import { sql, withTenant } from '../../../src/default-platform.ts'
import { InvalidPayloadError } from '../../../src/errors.ts'
import { weeklyDigest } from '../../../tasks/creators/weekly-digest.ts'
import { entries } from '../email/entries.ts'
import { expectAbort, kit, tenantId, useTestPlatform } from '../kit.ts'
import { addCreator } from '../rows.ts'

useTestPlatform(() => ({ tasks: [weeklyDigest] }))

const run = (payload: { creatorId?: string; weekStart?: string } = {}, tenant = tenantId) =>
  kit.runTask(weeklyDigest, { tenantId: tenant, ...payload })

/** The Monday of a week, `weeks` before this one, by the tenant's clock. */
async function monday(weeks: number, timezone = 'UTC'): Promise<string> {
  const { rows } = await sql<{ monday: string }>`
    SELECT (date_trunc('week', now() AT TIME ZONE ${timezone})::date - 7 * ${weeks}::int)::text AS monday`
  return rows[0]!.monday
}

test('each creator who works with us gets one for the last week; a repeat adds who is missing', async () => {
  const ada = await addCreator(tenantId, { email: 'ada@x.test' })
  await addCreator(tenantId, { status: 'approved' })
  for (const status of ['pending', 'paused', 'terminated']) await addCreator(tenantId, { status })
  const weekStart = await monday(1)
  expect(await run()).toEqual({ weekStart, creators: 2, queued: 2, alreadyQueued: 0 })
  const queued = await entries(tenantId, 'digest')
  expect(queued).toHaveLength(2)
  expect(queued.find(({ recipient }) => recipient === 'ada@x.test')).toMatchObject({
    subject: expect.stringMatching(/^Your week from \d{1,2} [A-Z][a-z]+$/),
    template: 'creator-weekly-digest',
    data: { creatorId: ada, weekStart },
    dedupe_key: `digest:creator:${ada}:${weekStart}`,
    status: 'pending',
  })

  await addCreator(tenantId)
  expect(await run({ weekStart })).toEqual({ weekStart, creators: 3, queued: 1, alreadyQueued: 2 })
  expect(await entries(tenantId, 'digest')).toHaveLength(3)
})

test('of runs at once, each creator gets one', async () => {
  for (let n = 0; n < 5; n += 1) await addCreator(tenantId)
  const answers = await Promise.all(Array.from({ length: 6 }, () => run()))
  expect(answers.reduce((sum, { queued }) => sum + queued, 0)).toBe(5)
  expect(await entries(tenantId, 'digest')).toHaveLength(5)
})

test('any day names its week, and every week is another one', async () => {
  await addCreator(tenantId)
  expect(await run({ weekStart: '2026-03-08' })).toMatchObject({ weekStart: '2026-03-02', queued: 1 })
  expect(await run({ weekStart: '2026-03-02' })).toMatchObject({ weekStart: '2026-03-02', queued: 0 })
  expect(await run({ weekStart: '2026-03-09' })).toMatchObject({ weekStart: '2026-03-09', queued: 1 })
  expect(await entries(tenantId, 'digest')).toMatchObject([
    { subject: 'Your week from 2 March' },
    { subject: 'Your week from 9 March' },
  ])
})

test('a week is one of the tenant’s clock', async () => {
  for (const timezone of ['Pacific/Kiritimati', 'Etc/GMT+12']) {
    const tenant = await kit.tenant({ timezone })
    expect(await run({}, tenant)).toMatchObject({ weekStart: await monday(1, timezone), creators: 0 })
  }
})

test('this week may be asked for, the next one has not begun', async () => {
  await addCreator(tenantId)
  const weekStart = await monday(0)
  expect(await run({ weekStart })).toMatchObject({ weekStart, queued: 1 })
  await expectAbort(run({ weekStart: await monday(-1) }), /has not begun/)
  await expect(run({ weekStart: '2026-02-30' })).rejects.toThrow(InvalidPayloadError)
})

test('of one creator alone', async () => {
  const creatorId = await addCreator(tenantId)
  await addCreator(tenantId)
  expect(await run({ creatorId })).toMatchObject({ creators: 1, queued: 1, alreadyQueued: 0 })
  expect(await run({ creatorId })).toMatchObject({ queued: 0, alreadyQueued: 1 })
  expect(await entries(tenantId, 'digest')).toMatchObject([{ data: { creatorId } }])

  await expectAbort(run({ creatorId: 'nope' }), /no creator nope/)
  await expectAbort(run({ creatorId: await addCreator(tenantId, { status: 'paused' }) }), /is paused/)
})

test('thousands are queued in batches', async () => {
  await withTenant(
    tenantId,
    () => sql`
      INSERT INTO creators (email, first_name, last_name, status)
      SELECT 'many' || n || '@x.test', 'A', 'B', 'active' FROM generate_series(1, 2500) AS n`,
  )
  expect(await run()).toMatchObject({ creators: 2_500, queued: 2_500 })
  expect(await run()).toMatchObject({ creators: 2_500, queued: 0 })
  const digests = await entries(tenantId, 'digest')
  expect(new Set(digests.map(({ recipient }) => recipient)).size).toBe(2_500)
})
