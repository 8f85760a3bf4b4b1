/** Every template that a task queues, by the name it has in email_queue. */
import { AbortTaskError } from '@cgk-platform/jobs'
import { adminDailyDigest } from './admin-daily-digest.ts'
import { creatorFirstProject } from './creator-first-project.ts'
import { creatorGettingPaid } from './creator-getting-paid.ts'
import { creatorWeeklyDigest } from './creator-weekly-digest.ts'
import { creatorWelcome } from './creator-welcome.ts'
import { lowBalanceAlert } from './low-balance-alert.ts'
import { reviewRequest } from './review-request.ts'
import type { Template } from './template.ts'

const templates = new Map<string, Template>([
  ['review-request', reviewRequest],
  ['creator-welcome', creatorWelcome],
  ['creator-first-project', creatorFirstProject],
  ['creator-getting-paid', creatorGettingPaid],
  ['creator-weekly-digest', creatorWeeklyDigest],
  ['low-balance-alert', lowBalanceAlert],
  ['admin-daily-digest', adminDailyDigest],
])

/** @throws AbortTaskError */
export function findTemplate(name: string): Template {
  const template = templates.get(name)
  if (template) return template
  throw new AbortTaskError(
    `There is no email template ${JSON.stringify(name)}. Add it to tasks/email/templates, or correct the entry.`,
  )
}
