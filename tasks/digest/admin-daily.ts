/**
 * Queues the daily digest for the people who run the shop: orders, creators, payouts and failed runs of a day, with a
 * paragraph by Claude where the tenant has an account there. The figures are counted once and kept in the entries, so
 * everybody reads the same, whenever it is sent.
 *
 * By default it is about yesterday in the tenant's time zone; on a Monday about Friday to Sunday, for at weekends nobody
 * is told. One entry for each recipient and date, so a repeat queues only who is missing. Whoever asks for a day that is
 * not over has used it up.
 *
 * Without recipients it goes to the alert_recipients of treasury_settings, the one list of people that a tenant keeps.
 */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { processQueue } from '../email/process-queue.ts'
import { daysFrom } from '../email/templates/wording.ts'
import { countFailedRuns } from './failed-runs.ts'
import { countRows, type Days } from './figures.ts'
import { writeParagraph } from './paragraph.ts'

export const adminDailyDigest = defineTask({
  id: 'digest/admin-daily',
  payload: tenantPayload({
    date: z.iso.date().optional(),
    recipients: z.array(z.email()).min(1).max(100).optional(),
  }),
  schedules: [{ cron: '0 8 * * 1-5', timezone: 'tenant' }],

  // No `services`: they would hold the digest of a tenant that has no account at Anthropic.
  async run({ tenantId, date, recipients }, { sql, transaction, timezone, logger, signal }) {
    const days = await readDays()
    const told = distinct(recipients ?? (await findRecipients()))
    if (told.length === 0) {
      return {
        date: days.date,
        queued: 0,
        reason: 'nobody is to be told: treasury_settings has no alert_recipients',
      }
    }
    const missing = await findMissing(told)
    const alreadyQueued = told.length - missing.length
    if (missing.length === 0) return { date: days.date, queued: 0, alreadyQueued }

    const figures = {
      from: days.from,
      date: days.date,
      ...(await countRows(days)),
      failedRuns: await countFailedRuns(tenantId, days, signal),
    }
    const paragraph = await writeParagraph(tenantId, figures).catch((error: unknown) => {
      signal.throwIfAborted()
      logger.warn({ err: error }, 'the digest goes out without a paragraph by Claude')
      return null
    })
    const queued = await transaction(queueEmails)
    logger.info({ date: days.date, queued, hasParagraph: paragraph !== null }, 'daily digest queued')
    return { date: days.date, queued, alreadyQueued: told.length - queued, hasParagraph: paragraph !== null }

    async function readDays(): Promise<Days> {
      const { rows } = await sql<Days & { is_future: boolean }>`
        SELECT first_day::text AS from, last_day::text AS date, last_day > today AS is_future,
               first_day::timestamp AT TIME ZONE ${timezone} AS start,
               (last_day + 1)::timestamp AT TIME ZONE ${timezone} AS end
        FROM (SELECT (now() AT TIME ZONE ${timezone})::date AS today, ${date ?? null}::date AS asked) AS clock
        CROSS JOIN LATERAL (
          SELECT coalesce(asked, today - 1) AS last_day,
                 coalesce(asked, today - CASE WHEN extract(isodow FROM today) = 1 THEN 3 ELSE 1 END) AS first_day
        ) AS day`
      const { is_future, ...days } = rows[0]!
      if (is_future) throw new AbortTaskError(`The day ${days.date} has not begun.`)
      return days
    }

    async function findRecipients(): Promise<string[]> {
      const { rows } = await sql<{
        alert_recipients: string[]
      }>`SELECT alert_recipients FROM treasury_settings`
      return rows[0]?.alert_recipients ?? []
    }

    async function findMissing(addresses: readonly string[]): Promise<string[]> {
      const { rows } = await sql<{ recipient: string }>`
        SELECT told.recipient FROM unnest(${addresses}::text[]) AS told(recipient)
        WHERE NOT EXISTS (SELECT FROM email_queue WHERE dedupe_key = ${keyStart()} || lower(told.recipient))`
      return rows.map(({ recipient }) => recipient)
    }

    async function queueEmails(): Promise<number> {
      const { rowCount } = await sql`
        INSERT INTO email_queue (kind, recipient, subject, template, data, dedupe_key)
        SELECT 'digest', recipient, ${daysFrom(days.from, days.date)}, 'admin-daily-digest',
               ${sql.json({ ...figures, paragraph })}, ${keyStart()} || lower(recipient)
        FROM unnest(${missing}::text[]) AS recipient
        ON CONFLICT (dedupe_key) DO NOTHING`
      if (rowCount > 0) await processQueue.trigger({ tenantId, queue: 'digest' })
      return rowCount
    }

    function keyStart(): string {
      return `digest:admin:${days.date}:`
    }
  },
})

/** One person may stand there twice, with other capitals. */
function distinct(addresses: readonly string[]): string[] {
  return [...new Map(addresses.map((address) => [address.toLowerCase(), address])).values()]
}
