/**
 * Wise's API, as far as payouts need it: Wise keeps no SDK of its own for Node. Money is integer cents here and decimals
 * there; it is converted at this border and nowhere else.
 */
export interface WiseClientOptions {
  apiToken: string
  profileId: string
  baseUrl: string
  fetch: typeof fetch
}

export interface NewQuote {
  sourceCurrency: string
  targetCurrency: string
  /** What leaves our balance, fee included, or what arrives: one of the two. */
  amount: { sourceCents: number } | { targetCents: number }
  /** Id of the recipient's account at Wise: the fee and the way of the payout depend on it. */
  targetAccount: string
}

export interface WiseQuote {
  id: string
  sourceCurrency: string
  targetCurrency: string
  /** As it is when the transfer is paid from the balance. */
  sourceCents: number
  targetCents: number
  feeCents: number
  /** Decimal text: it is no money. */
  rate: string
  status: WiseQuoteStatus
  expiresAt: Date
}

export type WiseQuoteStatus = 'PENDING' | 'ACCEPTED' | 'FUNDED' | 'EXPIRED'

export interface NewTransfer {
  quoteId: string
  targetAccount: string
  /** A UUID of ours: Wise answers the same id with the same transfer. */
  customerTransactionId: string
  /** What the recipient reads on the statement. */
  reference: string
}

export interface WiseTransfer {
  id: string
  quoteId: string | null
  targetAccount: string
  customerTransactionId: string
  status: WiseTransferStatus
  sourceCurrency: string
  sourceCents: number
  targetCurrency: string
  targetCents: number
}

export type WiseTransferStatus =
  | 'incoming_payment_waiting'
  | 'incoming_payment_initiated'
  | 'processing'
  | 'funds_converted'
  | 'outgoing_payment_sent'
  | 'cancelled'
  | 'funds_refunded'
  | 'bounced_back'
  | 'charged_back'
  | 'unknown'

export interface WisePayment {
  status: 'COMPLETED' | 'REJECTED'
  /** Why it was rejected: `balance.payment-option-unavailable`, for one. */
  errorCode: string | null
}

export interface WiseBalance {
  id: string
  currency: string
  availableCents: number
  reservedCents: number
}

export interface WiseProfile {
  id: string
  type: string
}

/** What the client throws when Wise does not do what it was asked. */
export class WiseError extends Error {
  override readonly name = 'WiseError'
  /** Null: there was no answer, or none that can be read. */
  readonly status: number | null
  /** Wise's own code, where it gave one. */
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

export class WiseClient {
  readonly profileId: string
  readonly #options: WiseClientOptions

  constructor(options: WiseClientOptions) {
    this.profileId = options.profileId
    this.#options = options
  }

  async profile(): Promise<WiseProfile> {
    return await this.#send('GET', `/v2/profiles/${this.profileId}`)
  }

  async createQuote(_quote: NewQuote): Promise<WiseQuote> {
    return await this.#send('POST', `/v3/profiles/${this.profileId}/quotes`)
  }

  async getQuote(id: string): Promise<WiseQuote> {
    return await this.#send('GET', `/v3/profiles/${this.profileId}/quotes/${id}`)
  }

  async createTransfer(transfer: NewTransfer): Promise<WiseTransfer> {
    return await this.#send('POST', '/v1/transfers', transfer)
  }

  async getTransfer(id: string): Promise<WiseTransfer> {
    return await this.#send('GET', `/v1/transfers/${id}`)
  }

  /** Pays a transfer from the balance. Rejected is an answer, not an error: see `errorCode`. */
  async fundTransfer(id: string): Promise<WisePayment> {
    return await this.#send('POST', `/v3/profiles/${this.profileId}/transfers/${id}/payments`, {
      type: 'BALANCE',
    })
  }

  async balances(): Promise<WiseBalance[]> {
    return await this.#send('GET', `/v4/profiles/${this.profileId}/balances?types=STANDARD`)
  }

  async #send<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { baseUrl, apiToken, fetch } = this.#options
    const response = await fetch(`${baseUrl}${path}`, {
      method,
      headers: { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    if (!response.ok) {
      const { status, headers } = response
      throw new WiseError(`Wise answered ${status}.`, { status, code: null, headers })
    }
    return (await response.json()) as T
  }
}
