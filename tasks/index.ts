/** The registry: every task there is. The path of its file is its id; the platform checks that ids are unique. */
import { approveCreator } from './creators/approve.ts'
import { creditCommission } from './orders/credit-commission.ts'
import { processOrder } from './orders/process-order.ts'
import { matureCommissions } from './payouts/mature-commissions.ts'
import { scheduleReviewRequest } from './reviews/schedule-request.ts'

export default [
  processOrder,
  creditCommission,
  scheduleReviewRequest,
  approveCreator,
  matureCommissions,
] as const
