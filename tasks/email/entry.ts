/**
 * The row of an email while it is being sent.
 *
 * `message` and `unanswered_since` go together: they are there from before a request until its answer is known. A request
 * that Resend has refused leaves none, so the next try writes the mail anew.
 */
import { AbortTaskError, sql } from '@cgk-platform/jobs'
import type { Mail } from './mail.ts'

/** Resend keeps an idempotency key for 24 hours. Less what a request and clocks may take. */
const keyHours = 23

export interface Entry {
  id: string
  status: string
  recipient: string
  subject: string
  template: string
  data: unknown
  resend_message_id: string | null
  /** What earlier tries have sent; null: Resend has not been asked, or has refused. */
  message: Mail | null
  unanswered_since: Date | null
  /** A request has no answer, and Resend may not remember it any more. */
  is_forgotten: boolean
}

const columns = sql`id, status, recipient, subject, template, data, resend_message_id, message, unanswered_since,
  coalesce(unanswered_since < now() - make_interval(hours => ${keyHours}), false) AS is_forgotten`

/**
 * Takes it for this run, whoever has queued the run: email/process-queue, which has claimed the entry, or a person. Or
 * answers it as it is, when it is sent.
 * @throws AbortTaskError for an entry that is not to be sent.
 */
export async function claimEntry(entryId: string, runId: string): Promise<Entry> {
  const claimed = await sql<Entry>`
    UPDATE email_queue
    SET status = 'processing', claimed_by_run = coalesce(claimed_by_run, ${runId}), send_run = ${runId}
    WHERE id = ${entryId} AND status IN ('pending', 'processing')
    RETURNING ${columns}`
  if (claimed.rows[0]) return claimed.rows[0]

  const found = await sql<Entry & { error_message: string | null }>`
    SELECT ${columns}, error_message FROM email_queue WHERE id = ${entryId}`
  const entry = found.rows[0]
  if (!entry) throw new AbortTaskError(`There is no email ${entryId} in the queue.`)
  if (entry.status === 'sent') return entry
  const why = entry.error_message ? ` (${entry.error_message})` : ''
  throw new AbortTaskError(
    `Email ${entryId} is ${entry.status}${why}. Set its status to pending to have it sent.`,
  )
}

export interface Request {
  /** What is sent: of runs at the same moment, both send what the first has kept. */
  message: Mail
  /** Its number among all of this entry. */
  attempts: number
  /** No other one is without an answer. */
  is_only: boolean
}

/** To be called right before the request. Null: meanwhile the entry was sent by another run, or is not to be sent. */
export async function beginRequest(entryId: string, mail: Mail): Promise<Request | null> {
  const begun = await sql<Request>`
    UPDATE email_queue
    SET attempts = attempts + 1, message = coalesce(message, ${sql.json(mail)}),
        unanswered_since = coalesce(unanswered_since, now())
    WHERE id = ${entryId} AND status = 'processing'
    RETURNING message, attempts, unanswered_since = now() AS is_only`
  return begun.rows[0] ?? null
}

/** Resend has it. Answers the status: a bounce may have been faster. */
export async function keepSent(entryId: string, messageId: string): Promise<string> {
  const kept = await sql<{ status: string }>`
    UPDATE email_queue
    SET status = CASE WHEN status IN ('pending', 'processing') THEN 'sent' ELSE status END,
        error_message = CASE WHEN status NOT IN ('pending', 'processing') THEN error_message END,
        sent_at = CASE WHEN resend_message_id = ${messageId} AND sent_at IS NOT NULL THEN sent_at ELSE now() END,
        delivered_at = CASE WHEN resend_message_id = ${messageId} THEN delivered_at END,
        resend_message_id = ${messageId}, message = NULL, unanswered_since = NULL
    WHERE id = ${entryId}
    RETURNING status`
  return kept.rows[0]?.status ?? 'deleted'
}

/**
 * Resend has no email of this request. Guarded: whoever has asked since, or before and without an answer, still needs
 * what is kept. `hasLeft` is false for a request that was stopped on its way out, which is none.
 */
export async function dropRequest(entryId: string, request: Request, hasLeft: boolean): Promise<void> {
  await sql`
    UPDATE email_queue
    SET attempts = attempts - ${hasLeft ? 0 : 1}::int,
        message = CASE WHEN NOT ${request.is_only} THEN message END,
        unanswered_since = CASE WHEN NOT ${request.is_only} THEN unanswered_since END
    WHERE id = ${entryId} AND status = 'processing' AND attempts = ${request.attempts}`
}

/** Ends it without an email. Another run may have done so, or better, before. */
export async function endUnsent(
  entryId: string,
  status: 'failed' | 'skipped',
  reason: string,
): Promise<void> {
  await sql`
    UPDATE email_queue
    SET status = ${status}, error_message = ${reason.slice(0, 1_000).toWellFormed()}, message = NULL, unanswered_since = NULL
    WHERE id = ${entryId} AND status = 'processing'`
}
