/**
 * Hands due emails to email/send: the claim of a row and the run that sends it commit together.
 *
 * A claim that nobody has touched for a while is looked at. While its run is open (it waits for Resend, or for a
 * credential), the run has it; when there is no such run any more, the row goes back and is claimed again. That an email
 * is not sent twice is the care of email/send.
 */
import { defineTask, runs, tenantPayload, UnknownRunError } from '@cgk-platform/jobs'
import { z } from 'zod'
import { sendEmail } from './send.ts'

/** Longer than an attempt of email/send. */
const staleMinutes = 15

export const processQueue = defineTask({
  id: 'email/process-queue',
  payload: tenantPayload({
    /** Only emails of this kind. */
    queue: z.string().min(1).optional(),
    limit: z.int().min(1).max(1_000).default(50),
  }),
  schedules: [{ cron: '*/5 * * * *', catchUp: 'skip', overlap: 'skip' }],

  async run({ tenantId, queue, limit }, { sql, transaction, runId, logger, signal }) {
    const kind = queue ?? null
    const reset = await resetStale()
    const claimed = await transaction(claimDue)
    if (reset + claimed > 0) logger.info({ claimed, reset }, 'emails handed over')
    return { claimed, reset }

    async function claimDue(): Promise<number> {
      const due = await sql<{ id: string }>`
        WITH due AS (
          SELECT id FROM email_queue
          WHERE status = 'pending' AND scheduled_at <= now() AND (${kind}::text IS NULL OR kind = ${kind})
          ORDER BY scheduled_at, id LIMIT ${limit}
          FOR UPDATE SKIP LOCKED
        )
        UPDATE email_queue SET status = 'processing', claimed_by_run = ${runId}
        FROM due WHERE email_queue.id = due.id
        RETURNING email_queue.id`
      const entryIds = due.rows.map(({ id }) => id)
      const sending = await sendEmail.batchTrigger(
        entryIds.map((entryId) => ({ payload: { tenantId, entryId } })),
      )
      await sql`
        UPDATE email_queue SET send_run = sending.run_id
        FROM unnest(${entryIds}::text[], ${sending.map(({ id }) => id)}::text[]) AS sending(entry_id, run_id)
        WHERE id = entry_id`
      return entryIds.length
    }

    async function resetStale(): Promise<number> {
      const stale = await sql<{ id: string; send_run: string | null }>`
        SELECT id, send_run FROM email_queue
        WHERE status = 'processing' AND updated_at < now() - make_interval(mins => ${staleMinutes})
          AND (${kind}::text IS NULL OR kind = ${kind})
        ORDER BY updated_at LIMIT ${limit}`
      const abandoned: string[] = []
      for (const { id, send_run } of stale.rows) {
        signal.throwIfAborted()
        if (send_run === null || !(await isOpen(send_run))) abandoned.push(id)
      }
      // Those that stay are touched as well, and so not looked at again for a while. Guarded: whoever was faster has
      // touched them too.
      const seen = stale.rows.map(({ id }) => id)
      const looked = await sql<{ status: string }>`
        UPDATE email_queue SET
          status = CASE WHEN id = ANY(${abandoned}::text[]) THEN 'pending' ELSE status END,
          claimed_by_run = CASE WHEN id = ANY(${abandoned}::text[]) THEN NULL ELSE claimed_by_run END
        WHERE id = ANY(${seen}::text[]) AND status = 'processing'
          AND updated_at < now() - make_interval(mins => ${staleMinutes})
        RETURNING status`
      return looked.rows.filter(({ status }) => status === 'pending').length
    }
  },
})

async function isOpen(runId: string): Promise<boolean> {
  try {
    return (await runs.get(runId)).finishedAt === null
  } catch (error) {
    if (error instanceof UnknownRunError) return false
    throw error
  }
}
