/** How emails write money and days. */
import { currencyDigits } from '@cgk-platform/jobs'

/** 123450 cents of USD -> $1,234.50. Exact: the decimal point is set in the text. */
export function money(cents: number | string, currency: string): string {
  const digits = currencyDigits(currency)
  const fraction = { minimumFractionDigits: digits, maximumFractionDigits: digits }
  const format = new Intl.NumberFormat('en', {
    style: 'currency',
    currency,
    currencyDisplay: 'symbol',
    ...fraction,
  })
  const [, sign = '', amount = '0'] = /^(-?)(\d+)$/.exec(String(cents)) ?? []
  const text = amount.padStart(digits + 1, '0')
  const whole = text.slice(0, text.length - digits)
  return format.format(`${sign}${whole}.${text.slice(text.length - digits) || '0'}` as `${number}`)
}

const days = new Intl.DateTimeFormat('en-GB', {
  timeZone: 'UTC',
  weekday: 'long',
  day: 'numeric',
  month: 'long',
  year: 'numeric',
})

/** 2026-03-02 -> Monday, 2 March 2026, a day of a calendar and of no time zone. */
export function day(date: string): string {
  return days.format(new Date(`${date}T00:00:00Z`))
}

export function addDays(date: string, number: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + number * 86_400_000).toISOString().slice(0, 10)
}

/** Two days -> Friday, 6 March 2026 to Sunday, 8 March 2026; one day stands alone. */
export function daysFrom(first: string, last: string): string {
  return first === last ? day(first) : `${day(first)} to ${day(last)}`
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${new Intl.NumberFormat('en').format(number)} ${number === 1 ? one : many}`
}
