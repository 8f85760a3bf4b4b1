import { creatorData, findCreator } from './creator.ts'
import { template } from './template.ts'
import { money } from './wording.ts'

export const creatorGettingPaid = template(creatorData, async ({ creatorId }) => {
  const creator = await findCreator(creatorId)
  if ('skip' in creator) return creator
  const { first_name, balance_cents, pending_balance_cents, currency, has_account } = creator
  return {
    heading: `How you get paid, ${first_name}`,
    parts: [
      'What you earn is on hold until the order can no longer be returned. Then it becomes available and can be paid out.',
      {
        title: 'Your balance',
        rows: [
          ['Available', money(balance_cents, currency)],
          ['On hold', money(pending_balance_cents, currency)],
        ],
      },
      has_account
        ? 'We know the account to pay to. You need do nothing.'
        : 'We do not know yet where to pay. Set up your payout account, so that nothing keeps you waiting.',
    ],
  }
})
