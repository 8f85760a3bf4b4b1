/** The creator an email is for. */
import { sql } from '@cgk-platform/jobs'
import { z } from 'zod'
import type { Skip } from './template.ts'

export const creatorData = z.object({ creatorId: z.string().min(1) })

export interface Creator {
  first_name: string
  tier: string
  /** Percent, without zeros at the end: `12.5`. */
  rate: string
  referral_code: string | null
  balance_cents: number
  pending_balance_cents: number
  currency: string
  /** A provider knows where to pay. */
  has_account: boolean
}

/** Nobody writes to a creator who has left, or who is to be left alone. */
export async function findCreator(creatorId: string): Promise<Creator | Skip> {
  const found = await sql<Creator & { status: string }>`
    SELECT status, first_name, tier, trim_scale(commission_rate_pct)::text AS rate, referral_code, balance_cents,
           pending_balance_cents, currency, coalesce(stripe_connect_id, wise_recipient_id) IS NOT NULL AS has_account
    FROM creators WHERE id = ${creatorId}`
  const creator = found.rows[0]
  if (!creator) return { skip: `creator ${creatorId} is gone` }
  if (creator.status !== 'approved' && creator.status !== 'active') {
    return { skip: `creator is ${creator.status}` }
  }
  return creator
}
