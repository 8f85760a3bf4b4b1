/** The registry: every task there is. The path of a task's file is its id; the platform checks both. */
import { approveCreator } from './creators/approve.ts'
import { weeklyDigest } from './creators/weekly-digest.ts'
import { adminDailyDigest } from './digest/admin-daily.ts'
import { processQueue } from './email/process-queue.ts'
import { recordDelivery } from './email/record-delivery.ts'
import { sendEmail } from './email/send.ts'
import { creditCommission } from './orders/credit-commission.ts'
import { processOrder } from './orders/process-order.ts'
import { reconcileOrders } from './orders/reconcile.ts'
import { syncOrderFromShopify } from './orders/sync-from-shopify.ts'
import { checkPendingPayouts } from './payouts/check-pending.ts'
import { matureCommissions } from './payouts/mature-commissions.ts'
import { processDomesticPayout } from './payouts/process-domestic.ts'
import { processInternationalPayout } from './payouts/process-international.ts'
import { syncProducts } from './products/sync-batch.ts'
import { scheduleReviewRequest } from './reviews/schedule-request.ts'
import { lowBalanceAlert } from './treasury/low-balance-alert.ts'
import { syncTopups } from './treasury/sync-topups.ts'
import { generateAiContent } from './videos/generate-ai-content.ts'
import { ingestVideo } from './videos/ingest.ts'
import { recordVideoAsset } from './videos/record-asset.ts'
import { recordVideoTranscript } from './videos/record-transcript.ts'
import { transcribeVideo } from './videos/transcribe.ts'

const registry = [
  processOrder,
  creditCommission,
  syncOrderFromShopify,
  reconcileOrders,
  syncProducts,
  scheduleReviewRequest,
  approveCreator,
  matureCommissions,
  processDomesticPayout,
  processInternationalPayout,
  checkPendingPayouts,
  syncTopups,
  lowBalanceAlert,
  ingestVideo,
  recordVideoAsset,
  transcribeVideo,
  recordVideoTranscript,
  generateAiContent,
  processQueue,
  sendEmail,
  recordDelivery,
  weeklyDigest,
  adminDailyDigest,
] as const

export default registry

/** So that `tasks.trigger(id, payload)` knows these ids and payloads. */
declare module '@cgk-platform/jobs' {
  interface Register {
    tasks: typeof registry
  }
}
