/**
 * Sends one entry of email_queue. One entry is one email, however many runs it has:
 *  - Resend's Idempotency-Key is the entry's id, and the mail is kept in the row before it is sent, so that every try
 *    sends the same text from the same address and Resend answers a repeat with the first email. Rows, the template or
 *    the tenant's address may change in between.
 *  - Resend forgets keys after 24 hours. A request that has been without an answer for nearly as long is not repeated:
 *    the entry fails, and a person decides. Where Resend's webhook is set up, its events carry the entry's id and settle
 *    this sooner (email/record-delivery).
 *
 * `attempts` counts requests. An entry that failed or was skipped is sent when somebody sets it to pending.
 */
import {
  AbortTaskError,
  defineTask,
  readServiceError,
  ServiceClientClosedError,
  ServiceHeldError,
  snooze,
  tenantPayload,
} from '@cgk-platform/jobs'
import { z } from 'zod'
import {
  beginRequest,
  claimEntry,
  dropRequest,
  type Entry,
  endUnsent,
  keepSent,
  type Request,
} from './entry.ts'
import { type Mail, mailOf } from './mail.ts'
import { findTemplate } from './templates/index.ts'
import type { Skip } from './templates/template.ts'

export const sendEmail = defineTask({
  id: 'email/send',
  payload: tenantPayload({ entryId: z.string().min(1) }),
  services: ['resend'],
  retry: { maxAttempts: 5, minDelay: '30s', maxDelay: '1h', factor: 4 },
  timeout: '2m',
  // Resend takes a few requests per second of one account.
  concurrency: { perTenant: 2 },

  async run({ entryId }, { clients: { resend }, runId, timezone, attempt, maxAttempts, logger, signal }) {
    const entry = await claimEntry(entryId, runId)
    if (entry.status === 'sent') return summary('sent', entry.resend_message_id, true)
    if (entry.is_forgotten) return await giveUp(forgotten(entry.unanswered_since!))

    const mail = entry.message ?? (await write(entry))
    if ('skip' in mail) {
      await endUnsent(entryId, 'skipped', mail.skip)
      logger.info({ entryId, reason: mail.skip }, 'email skipped')
      return { ...summary('skipped', null, false), reason: mail.skip }
    }

    const request = await beginRequest(entryId, mail)
    // The next attempt finds what has become of it.
    if (!request) snooze('1s')
    const messageId = await post(request)
    if (messageId === entry.resend_message_id) return await giveUp(keyIsTaken)
    const status = await keepSent(entryId, messageId)
    logger.info({ entryId, messageId, status }, 'email sent')
    return summary(status, messageId, false)

    async function write({ template, data, ...entry }: Entry): Promise<Mail | Skip> {
      try {
        const content = await findTemplate(template)(data, { timezone })
        return 'skip' in content ? content : mailOf(entry, content, resend.fromAddress)
      } catch (error) {
        if (error instanceof AbortTaskError) await endUnsent(entryId, 'failed', error.message)
        else if (attempt >= maxAttempts && !signal.aborted) {
          const name = error instanceof Error ? error.name : typeof error
          await endUnsent(
            entryId,
            'failed',
            `The template ${template} failed with ${name}; see run ${runId}.`,
          )
        }
        throw error
      }
    }

    /** Answers the id of the email. */
    async function post(request: Request): Promise<string> {
      try {
        const { data } = await resend.emails.send(request.message, { idempotencyKey: entryId })
        return data!.id
      } catch (error) {
        const failure = readServiceError(error)
        if (failure?.kind === 'permanent') {
          const { code, message } = failure
          const reason = code === 'invalid_idempotent_request' ? keyIsTaken : `${code}: ${message}`
          await endUnsent(entryId, 'failed', request.is_only ? reason : `${reason} ${maybeSent}`)
          logger.error({ entryId, code }, 'email failed')
        } else if (failure?.kind === 'refused' || failure?.kind === 'limited') {
          await dropRequest(entryId, request, true)
        } else if (error instanceof ServiceHeldError || error instanceof ServiceClientClosedError) {
          await dropRequest(entryId, request, false)
        }
        throw error
      }
    }

    async function giveUp(reason: string): Promise<never> {
      await endUnsent(entryId, 'failed', reason)
      logger.error({ entryId }, 'email failed')
      throw new AbortTaskError(`Email ${entryId}: ${reason}`)
    }

    function summary(status: string, messageId: string | null, alreadySent: boolean) {
      return { entryId, status, messageId, alreadySent }
    }
  },
})

function forgotten(since: Date): string {
  return `Resend was asked to send it at ${since.toISOString()} and has not answered. By now it could send it a second time. Look for it in Resend, and set its status to pending if it is not there.`
}

/** Somebody has had it sent again, with or without changes, too soon. */
const keyIsTaken =
  'Resend has sent an email of this entry within the last 24 hours, and until then sends no other one. Set its status to pending after that, or queue a new email.'

const maybeSent = 'An earlier request had no answer, so it may have been sent.'
