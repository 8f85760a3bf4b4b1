import { creatorData, findCreator } from './creator.ts'
import { template } from './template.ts'

export const creatorWelcome = template(creatorData, async ({ creatorId }) => {
  const creator = await findCreator(creatorId)
  if ('skip' in creator) return creator
  const { first_name, tier, rate, referral_code } = creator
  return {
    heading: `Welcome, ${first_name}`,
    parts: [
      `You are one of our creators now, with the ${tier} tier.`,
      `Whenever somebody buys with your code, you earn ${rate} % of what they pay for the goods.`,
      ...(referral_code ? [{ title: 'Your code', rows: [['To share', referral_code] as const] }] : []),
    ],
  }
})
