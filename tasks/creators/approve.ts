/** Approves a creator who applied, and queues the welcome emails. Approval and emails commit together. */
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

const welcomeSequence = [
  { template: 'creator-welcome', subject: 'You are in: welcome', afterDays: 0 },
  { template: 'creator-first-project', subject: 'Your first project', afterDays: 3 },
  { template: 'creator-getting-paid', subject: 'How you get paid', afterDays: 7 },
]

export const approveCreator = defineTask({
  id: 'creators/approve',
  payload: tenantPayload({
    creatorId: z.string().min(1),
    /** The id of the person who approves. */
    approvedBy: z.string().min(1),
    /** Without it the creator keeps the tier of the application. */
    tier: z.enum(['bronze', 'silver', 'gold', 'platinum']).optional(),
  }),

  async run({ creatorId, approvedBy, tier }, { sql, transaction, logger }) {
    return await transaction(async () => {
      const approved = await sql<{ email: string; tier: string }>`
        UPDATE creators
        SET status = 'approved', approved_at = now(), approved_by = ${approvedBy}, tier = coalesce(${tier ?? null}, tier)
        WHERE id = ${creatorId} AND status = 'pending'
        RETURNING email, tier`
      const creator = approved.rows[0]
      if (!creator) return await approvedBefore()

      for (const [index, email] of welcomeSequence.entries()) {
        const number = index + 1
        await sql`
          INSERT INTO email_queue (kind, recipient, subject, template, data, dedupe_key, sequence_number, scheduled_at)
          VALUES ('creator', ${creator.email}, ${email.subject}, ${email.template}, ${sql.json({ creatorId })},
                  ${`creator:${creatorId}:welcome:${number}`}, ${number},
                  now() + make_interval(days => ${email.afterDays}))
          ON CONFLICT (dedupe_key) DO NOTHING`
      }
      logger.info({ creatorId, approvedBy }, 'creator approved')
      return { creatorId, tier: creator.tier, alreadyApproved: false, emailsQueued: welcomeSequence.length }
    })

    /** A repeat of this very approval is harmless; anything else is refused. */
    async function approvedBefore() {
      const found = await sql<{ status: string; tier: string; approved_by: string | null }>`
        SELECT status, tier, approved_by FROM creators WHERE id = ${creatorId}`
      const creator = found.rows[0]
      if (!creator) throw new AbortTaskError(`There is no creator ${creatorId}.`)
      const stands = creator.status === 'approved' || creator.status === 'active'
      const sameApproval = creator.approved_by === approvedBy && (tier ?? creator.tier) === creator.tier
      if (stands && sameApproval) {
        return { creatorId, tier: creator.tier, alreadyApproved: true, emailsQueued: 0 }
      }
      throw new AbortTaskError(
        `Creator ${creatorId} is ${creator.status} (tier ${creator.tier}, approved by ${creator.approved_by ?? 'nobody'}); only a pending creator is approved.`,
      )
    }
  },
})
