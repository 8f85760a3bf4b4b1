/**
 * Wise's API, as far as payouts need it: Wise keeps no SDK for Node. https://docs.wise.com/api-reference
 *
 * Money is whole cents here and decimals there, and is converted at this border alone, exactly or not at all. A cent is a
 * currency's smallest unit: there are 100 in a dollar, one in a yen.
 */
import { z } from 'zod'
import { currencyDigits } from './currency.ts'
import { readSilence } from './silence.ts'

export interface WiseClientOptions {
  apiToken: string
  /** Whose balances pay. */
  profileId: string
  /** Without a slash at the end. */
  baseUrl: string
  fetch: typeof fetch
}

export interface NewQuote {
  sourceCurrency: string
  targetCurrency: string
  /** Either what leaves the balance, fee included, or what arrives. */
  amount: { sourceCents: number } | { targetCents: number }
  /** The recipient's id at Wise: fee and way of payout depend on it. */
  targetAccount: string
}

/** An offer, for about half an hour. */
export interface WiseQuote {
  id: string
  status: 'PENDING' | 'ACCEPTED' | 'FUNDED' | 'EXPIRED'
  sourceCurrency: string
  targetCurrency: string
  /** What leaves the balance, fee included. */
  sourceCents: number
  /** What arrives. */
  targetCents: number
  /** In the source currency. */
  feeCents: number
  /** A decimal as text; it is no money. */
  rate: string
  expiresAt: Date
  /** Why the balance could not pay it at that moment; null: it could. */
  disabledReason: string | null
}

export interface NewTransfer {
  quoteId: string
  /** The recipient's id at Wise. */
  targetAccount: string
  /** A UUID. Wise answers a repeat of it with the transfer that it has made already. */
  customerTransactionId: string
  /** What the recipient reads on the bank statement. Some routes take ten characters. */
  reference: string
}

const transferStatuses = [
  'incoming_payment_waiting',
  'incoming_payment_initiated',
  'processing',
  'funds_converted',
  'outgoing_payment_sent',
  'bounced_back',
  'cancelled',
  'funds_refunded',
  'charged_back',
  'unknown',
] as const

/** What Wise may add to these is read as `unknown`, which is one of its own. */
export type WiseTransferStatus = (typeof transferStatuses)[number]

export interface WiseTransfer {
  id: string
  status: WiseTransferStatus
  quoteId: string | null
  targetAccount: string
  customerTransactionId: string | null
  sourceCurrency: string
  sourceCents: number
  targetCurrency: string
  targetCents: number
  /** Wise needs something from the account's owner before it goes on. */
  hasActiveIssues: boolean
}

export interface WisePayment {
  status: 'COMPLETED' | 'REJECTED'
  /** Why it was rejected: `transfer.insufficient_funds`, `balance.payment-option-unavailable`. */
  errorCode: string | null
}

export interface WiseBalance {
  id: string
  currency: string
  /** What transfers can be paid from. */
  availableCents: number
  reservedCents: number
}

export interface WiseProfile {
  id: string
  /** `BUSINESS` or `PERSONAL`. */
  type: string
}

export class WiseClient {
  readonly profileId: string
  readonly #options: WiseClientOptions

  constructor(options: WiseClientOptions) {
    this.profileId = options.profileId
    this.#options = options
  }

  async profile(): Promise<WiseProfile> {
    return await this.#send('GET', this.#profile('v2'), profileAnswer)
  }

  async balances(): Promise<WiseBalance[]> {
    return await this.#send('GET', `${this.#profile('v4')}/balances?types=STANDARD`, z.array(balanceAnswer))
  }

  /** @throws WiseError, of the code `balance_option_missing` when no balance of the tenant's can pay such a transfer. */
  async createQuote({ sourceCurrency, targetCurrency, amount, targetAccount }: NewQuote): Promise<WiseQuote> {
    return await this.#send('POST', `${this.#profile('v3')}/quotes`, quoteAnswer, {
      sourceCurrency,
      targetCurrency,
      ...('sourceCents' in amount
        ? { sourceAmount: toDecimal(amount.sourceCents, sourceCurrency) }
        : { targetAmount: toDecimal(amount.targetCents, targetCurrency) }),
      targetAccount: asNumber(targetAccount),
      // Without it the fee is that of a bank transfer to Wise.
      payIn: 'BALANCE',
    })
  }

  async getQuote(id: string): Promise<WiseQuote> {
    return await this.#send('GET', `${this.#profile('v3')}/quotes/${encodeURIComponent(id)}`, quoteAnswer)
  }

  async createTransfer(transfer: NewTransfer): Promise<WiseTransfer> {
    return await this.#send('POST', '/v1/transfers', transferAnswer, {
      targetAccount: asNumber(transfer.targetAccount),
      quoteUuid: transfer.quoteId,
      customerTransactionId: transfer.customerTransactionId,
      details: { reference: transfer.reference },
    })
  }

  async getTransfer(id: string): Promise<WiseTransfer> {
    return await this.#send('GET', `/v1/transfers/${encodeURIComponent(id)}`, transferAnswer)
  }

  /**
   * Pays a transfer from the balance. `REJECTED` is an answer, not an error: once there is money it may be called again.
   * It takes no idempotency key, so after a lost answer read the transfer's status first.
   */
  async fundTransfer(id: string): Promise<WisePayment> {
    const path = `${this.#profile('v3')}/transfers/${encodeURIComponent(id)}/payments`
    return await this.#send('POST', path, paymentAnswer, { type: 'BALANCE' })
  }

  #profile(version: string): string {
    return `/${version}/profiles/${encodeURIComponent(this.profileId)}`
  }

  async #send<Answer>(
    method: string,
    path: string,
    schema: z.ZodType<Answer>,
    body?: object,
  ): Promise<Answer> {
    const { baseUrl, apiToken, fetch } = this.#options
    const headers: Record<string, string> = {
      authorization: `Bearer ${apiToken}`,
      accept: 'application/json',
    }
    if (body) headers['content-type'] = 'application/json'
    const request = { method, headers, ...(body && { body: JSON.stringify(body) }) }
    const response = await fetch(`${baseUrl}${path}`, request).catch(throwSilence)
    if (!response.ok) throw await readRefusal(response)
    const answer = schema.safeParse(await response.json().catch(throwSilence))
    if (answer.success) return answer.data
    const places = answer.error.issues.map((issue) => issue.path.join('.') || 'all of it').join(', ')
    throw noAnswer('unreadable_answer', `Wise answered ${method} ${path} in an unknown form: ${places}.`)
  }
}

/** Wise did not do what it was asked. */
export class WiseError extends Error {
  override readonly name = 'WiseError'
  /** Null: there was no answer, or none that can be read. */
  readonly status: number | null
  /** Wise's own, where it gave one. */
  readonly code: string | null
  readonly headers: Headers | null

  constructor(
    message: string,
    answer: { status: number | null; code: string | null; headers: Headers | null },
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.status = answer.status
    this.code = answer.code
    this.headers = answer.headers
  }
}

// ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────

const anId = z.union([z.int(), z.string().min(1)]).transform(String)

const currency = z.string().regex(/^[A-Z]{3}$/)

const profileAnswer = z.object({ id: anId, type: z.string() })

const money = z.object({ value: z.number(), currency })

const balanceAnswer = z
  .object({ id: anId, currency, amount: money, reservedAmount: money })
  .transform(({ id, currency, amount, reservedAmount }) => ({
    id,
    currency,
    availableCents: toCents(amount.value, currency),
    reservedCents: toCents(reservedAmount.value, currency),
  }))

const paymentOption = z.object({
  payIn: z.string(),
  payOut: z.string(),
  sourceAmount: z.number(),
  targetAmount: z.number(),
  fee: z.object({ total: z.number() }),
  disabled: z.boolean().default(false),
  disabledReason: z.object({ code: z.string() }).nullish(),
})

const quoteAnswer = z
  .object({
    id: anId,
    status: z.enum(['PENDING', 'ACCEPTED', 'FUNDED', 'EXPIRED']),
    sourceCurrency: currency,
    targetCurrency: currency,
    payOut: z.string(),
    rate: z.number(),
    expirationTime: z.iso.datetime({ offset: true }),
    paymentOptions: z.array(paymentOption),
  })
  .transform(({ payOut, paymentOptions, rate, expirationTime, ...quote }): WiseQuote => {
    const option = paymentOptions.find((option) => option.payIn === 'BALANCE' && option.payOut === payOut)
    if (!option) {
      const code = 'balance_option_missing'
      const message = `Wise offers no payment from a ${quote.sourceCurrency} balance for this quote. Open that balance at wise.com, or choose another currency.`
      throw new WiseError(message, { status: 200, code, headers: null })
    }
    return {
      ...quote,
      sourceCents: toCents(option.sourceAmount, quote.sourceCurrency),
      targetCents: toCents(option.targetAmount, quote.targetCurrency),
      feeCents: toCents(option.fee.total, quote.sourceCurrency),
      rate: String(rate),
      expiresAt: new Date(expirationTime),
      disabledReason: option.disabled ? (option.disabledReason?.code ?? 'disabled') : null,
    }
  })

const transferAnswer = z
  .object({
    id: anId,
    status: z.enum(transferStatuses).catch('unknown'),
    quoteUuid: z.string().nullish(),
    targetAccount: anId,
    customerTransactionId: z.string().nullish(),
    sourceCurrency: currency,
    sourceValue: z.number(),
    targetCurrency: currency,
    targetValue: z.number(),
    hasActiveIssues: z.boolean().default(false),
  })
  .transform(
    ({ quoteUuid, sourceValue, targetValue, ...transfer }): WiseTransfer => ({
      ...transfer,
      quoteId: quoteUuid ?? null,
      customerTransactionId: transfer.customerTransactionId ?? null,
      sourceCents: toCents(sourceValue, transfer.sourceCurrency),
      targetCents: toCents(targetValue, transfer.targetCurrency),
    }),
  )

const paymentAnswer = z
  .object({ status: z.enum(['COMPLETED', 'REJECTED']), errorCode: z.string().nullish() })
  .transform(({ status, errorCode }): WisePayment => ({ status, errorCode: errorCode ?? null }))

/** What is no number Wise refuses itself, with a message about the field. */
function asNumber(id: string): number | string {
  return /^\d{1,15}$/.test(id) ? Number(id) : id
}

// ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────

/** Wise has several forms: a list of `errors`, one `code` and `detail`, an OAuth `error`, a bare `message`. */
const refusal = z.object({
  errors: z
    .array(
      z.object({ code: z.string().optional(), message: z.string().optional(), path: z.string().nullish() }),
    )
    .optional(),
  code: z.string().optional(),
  detail: z.string().optional(),
  /** `invalid_token`, or the name of the status. `error_description` beside it is left alone: it repeats the token. */
  error: z.string().optional(),
  message: z.string().optional(),
})

async function readRefusal(response: Response): Promise<WiseError> {
  const { status, headers } = response
  const { data } = refusal.safeParse(await response.json().catch(() => null))
  const first = data?.errors?.[0]
  const code = first?.code ?? data?.code ?? (/^[a-z._-]+$/.test(data?.error ?? '') ? data?.error : null)
  const told = data?.errors?.map(({ message, path }) => (path ? `${path}: ${message}` : message)).join('; ')
  const message = told || data?.detail || data?.message || code
  const text = message ? `Wise answered ${status}: ${message}` : `Wise answered ${status}.`
  return new WiseError(text, { status, code: code ?? null, headers })
}

function throwSilence(error: unknown): never {
  const silence = readSilence(error, 'Wise')
  throw silence ? noAnswer(silence.code, silence.message, error) : error
}

function noAnswer(code: string, message: string, cause?: unknown): WiseError {
  return new WiseError(message, { status: null, code, headers: null }, { cause })
}

// ── money ───────────────────────────────────────────────────────────────────────────────────────────────────

/** A decimal of so many digits is the same as text, as a double and as text again. */
const mostDigits = 15

/** 1050 cents of USD -> 10.5. @throws RangeError for what is no amount of money that one sends. */
function toDecimal(cents: number, currency: string): number {
  if (!Number.isSafeInteger(cents) || cents <= 0 || String(cents).length > mostDigits) {
    throw new RangeError(`${cents} is no amount in ${currency} cents: a whole number above zero is.`)
  }
  const digits = currencyDigits(currency)
  const text = String(cents).padStart(digits + 1, '0')
  const point = text.length - digits
  return Number(`${text.slice(0, point)}.${text.slice(point)}`)
}

/** 10.5 USD -> 1050. A part of a cent is a misunderstanding, never rounded away. */
function toCents(decimal: number, currency: string): number {
  const digits = currencyDigits(currency)
  const [, sign, whole, fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(decimal)) ?? []
  const cents = Number(`${sign}${whole}${fraction.padEnd(digits, '0')}`)
  if (whole === undefined || fraction.length > digits || !Number.isSafeInteger(cents)) {
    throw noAnswer('unreadable_answer', `Wise answered with an amount that is not in ${currency} cents.`)
  }
  return cents
}
