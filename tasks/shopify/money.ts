/**
 * Shopify's amounts are decimals as text, ours whole cents. A cent is the smallest unit of a currency by ISO 4217: there
 * are 100 in a dollar, one in a yen and 1000 in a dinar. Converted exactly or not at all.
 */
import { AbortTaskError, currencyDigits } from '@cgk-platform/jobs'

export interface Money {
  /** '19.9', '1000.0' */
  amount: string
  /** ISO 4217 */
  currencyCode: string
}

/** Beside its amount in the shop's currency, Shopify keeps the one the customer saw. */
export interface MoneyBag {
  shopMoney: Money
}

/** What an integer column holds. */
const mostCents = 2_147_483_647

/** @throws AbortTaskError for what is no whole number of cents, is negative, or does not fit into a column. */
export function toCents({ amount, currencyCode }: Money): number {
  const [, whole, fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(amount) ?? []
  const digits = currencyDigits(currencyCode)
  // A yen comes as 1.0, a dollar as 1.5: what the zeros say is nothing, and what they lack is zero.
  const significant = fraction.replace(/0+$/, '')
  const cents = Number(`${whole}${significant.padEnd(digits, '0')}`)
  if (significant.length > digits || !(cents <= mostCents)) {
    throw new AbortTaskError(
      `Shopify says ${amount} ${currencyCode}, which is not a whole number of cents from 0 to ${mostCents}.`,
    )
  }
  return cents
}
