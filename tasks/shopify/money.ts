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

/** For a figure that is only looked at: what does not fit into a column is as much as fits. */
export function toCentsAtMost(money: Money): number {
  return readCents(money) > mostCents ? mostCents : toCents(money)
}

/** @throws AbortTaskError for what is no whole number of cents, is negative, or does not fit into a column. */
export function toCents(money: Money): number {
  const cents = readCents(money)
  if (cents <= mostCents) return cents
  throw new AbortTaskError(
    `Shopify says ${money.amount} ${money.currencyCode}, which is not a whole number of cents from 0 to ${mostCents}.`,
  )
}

/** NaN for what is no whole number of cents. */
function readCents({ amount, currencyCode }: Money): number {
  const [, whole, fraction = ''] = /^(\d+)(?:\.(\d+))?$/.exec(amount) ?? []
  const digits = currencyDigits(currencyCode)
  // A yen comes as 1.0, a dollar as 1.5: what the zeros say is nothing, and what they lack is zero.
  const significant = fraction.replace(/0+$/, '')
  return significant.length > digits ? Number.NaN : Number(`${whole}${significant.padEnd(digits, '0')}`)
}
