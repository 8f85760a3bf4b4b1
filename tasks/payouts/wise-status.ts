/** What the status of a Wise transfer means for its payout. */

/**
 * outgoing_payment_sent is where a transfer normally ends. One that bounced back is under way again: Wise corrects it or
 * cancels it. Whatever else Wise says, now or in future, is under way.
 */
export function readWiseStatus(status: string): 'completed' | 'failed' | 'processing' {
  if (status === 'outgoing_payment_sent') return 'completed'
  if (status === 'cancelled' || status === 'funds_refunded' || status === 'charged_back') return 'failed'
  return 'processing'
}
