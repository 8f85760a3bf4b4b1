/**
 * How many digits an amount has behind its point, by ISO 4217: a dollar has 100 cents, a yen none, a dinar 1000. A list,
 * for `Intl` follows the habits of each country, and for it a forint or a Colombian peso has no cents.
 */
const withoutCents = new Set('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF'.split(' '))
const withThreeDigits = new Set('BHD IQD JOD KWD LYD OMR TND'.split(' '))

export function currencyDigits(currency: string): 0 | 2 | 3 {
  if (withoutCents.has(currency)) return 0
  return withThreeDigits.has(currency) ? 3 : 2
}
