/**
 * Queues the weekly digest of every creator who works with us, or of one: what they earned and finished in a week, and
 * what is due in the week after it. The email itself is written when it is sent (templates/creator-weekly-digest.ts), and
 * a creator to whom nothing happened gets none.
 *
 * A week is a calendar week of the tenant's time zone; by default the last one. One row for each creator and week, so a
 * repeat queues only who is missing. Whoever asks for a week that is not over has used it up.
 */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

const creatorsPerBatch = 1_000

export const weeklyDigest = defineTask({
  id: 'creators/weekly-digest',
  payload: tenantPayload({
    /** Only this one's. */
    creatorId: z.string().min(1).optional(),
    /** Its Monday, or any other of its days. */
    weekStart: z.iso.date().optional(),
  }),
  schedules: [{ cron: '0 10 * * 1', timezone: 'tenant' }],

  async run({ creatorId, weekStart }, { sql, timezone, logger, signal }) {
    const week = await readWeek()
    if (creatorId) await refuseUnfit(creatorId)

    let [creators, queued] = [0, 0]
    for (let after = ''; ; ) {
      signal.throwIfAborted()
      const batch = await queueBatch(after)
      creators += batch.creators
      queued += batch.queued
      if (batch.last === null || creatorId) break
      after = batch.last
    }
    logger.info({ week: week.first_day, creators, queued }, 'weekly digests queued')
    return { weekStart: week.first_day, creators, queued, alreadyQueued: creators - queued }

    async function readWeek(): Promise<WeekRow> {
      const found = await sql<WeekRow & { is_future: boolean }>`
        SELECT first_day::text, to_char(first_day, 'FMDD FMMonth') AS name, first_day > today AS is_future
        FROM (SELECT (now() AT TIME ZONE ${timezone})::date AS today) AS clock
        CROSS JOIN LATERAL (
          SELECT date_trunc('week', coalesce(${weekStart ?? null}::date, today - 7)::timestamp)::date AS first_day
        ) AS week`
      const { is_future, ...week } = found.rows[0]!
      if (is_future) throw new AbortTaskError(`The week of ${week.first_day} has not begun.`)
      return week
    }

    async function queueBatch(after: string): Promise<BatchRow> {
      const { rows } = await sql<BatchRow>`
        WITH batch AS (
          SELECT id, email FROM creators
          WHERE id > ${after} AND status IN ('approved', 'active')
            AND (${creatorId ?? null}::text IS NULL OR id = ${creatorId ?? null})
          ORDER BY id LIMIT ${creatorsPerBatch}
        ), queued AS (
          INSERT INTO email_queue (kind, recipient, subject, template, data, dedupe_key)
          SELECT 'digest', email, ${`Your week from ${week.name}`}, 'creator-weekly-digest',
                 jsonb_build_object('creatorId', id, 'weekStart', ${week.first_day}::text),
                 'digest:creator:' || id || ':' || ${week.first_day}::text
          FROM batch
          ON CONFLICT (dedupe_key) DO NOTHING
          RETURNING id
        )
        SELECT (SELECT max(id) FROM batch) AS last, (SELECT count(*)::int FROM batch) AS creators,
               (SELECT count(*)::int FROM queued) AS queued`
      return rows[0]!
    }

    async function refuseUnfit(id: string): Promise<void> {
      const { rows } = await sql<{ status: string }>`SELECT status FROM creators WHERE id = ${id}`
      const status = rows[0]?.status
      if (!status) throw new AbortTaskError(`There is no creator ${id}.`)
      if (status === 'approved' || status === 'active') return
      throw new AbortTaskError(`Creator ${id} is ${status}; only approved and active ones get a digest.`)
    }
  },
})

interface WeekRow {
  first_day: string
  /** `2 March` */
  name: string
}

interface BatchRow {
  last: string | null
  creators: number
  queued: number
}
