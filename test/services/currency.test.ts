import { expect, test } from 'vitest'
import { currencyDigits } from '../../src/services/currency.ts'

test.each([
  ['USD', 2],
  ['HUF', 2],
  ['COP', 2],
  ['JPY', 0],
  ['ISK', 0],
  ['KWD', 3],
  ['IQD', 3],
])('%s has %i digits behind its point', (currency, digits) => {
  expect(currencyDigits(currency)).toBe(digits)
})
