import { expect, test } from 'vitest'
import { AbortTaskError } from '../../../src/errors.ts'
import { toCents, toCentsAtMost } from '../../../tasks/shopify/money.ts'

test.each([
  ['19.99', 'USD', 1999],
  ['19.9', 'USD', 1990],
  ['19', 'USD', 1900],
  ['0.0', 'USD', 0],
  ['0.07', 'EUR', 7],
  ['1.5000', 'EUR', 150],
  // What a float makes of it: 115.99999999999999
  ['1.16', 'USD', 116],
  ['21474836.47', 'USD', 2_147_483_647],
  ['1000.0', 'JPY', 1000],
  ['1000', 'KRW', 1000],
  ['1.234', 'KWD', 1234],
  ['1.2', 'BHD', 1200],
  // Have cents by ISO 4217, whatever people do with them.
  ['1990.50', 'COP', 199_050],
  ['1990.5', 'HUF', 199_050],
])('%s %s is %d cents', (amount, currencyCode, cents) => {
  expect(toCents({ amount, currencyCode })).toBe(cents)
})

test.each([
  ['19.995', 'USD'],
  ['0.5', 'JPY'],
  ['1.2345', 'KWD'],
  ['21474836.48', 'USD'],
  ['99999999999999999999', 'JPY'],
  ['-1.00', 'USD'],
  ['1e3', 'USD'],
  ['1,50', 'EUR'],
  ['.5', 'USD'],
  ['', 'USD'],
  ['NaN', 'USD'],
])('%s %s is refused', (amount, currencyCode) => {
  expect(() => toCents({ amount, currencyCode })).toThrow(AbortTaskError)
})

test('a figure that is only looked at is as much as fits', () => {
  expect(toCentsAtMost({ amount: '25000000.0', currencyCode: 'IDR' })).toBe(2_147_483_647)
  expect(toCentsAtMost({ amount: '19.9', currencyCode: 'USD' })).toBe(1_990)
  expect(() => toCentsAtMost({ amount: '19.999', currencyCode: 'USD' })).toThrow(/not a whole number/)
})
