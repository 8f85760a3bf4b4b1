/** Shopify's own client, on the wire and with errors that are thrown. */
import { type AdminApiClient, createAdminApiClient } from '@shopify/admin-api-client'
import { readSilence, type Silence, unreadableAnswer } from './silence.ts'
import type { Wire } from './wire.ts'

/** Shopify keeps a version for a year; after that, it answers as the oldest that it still keeps. */
export const apiVersion = '2026-10'

export interface ShopifyClientOptions {
  shopDomain: string
  accessToken: string
  /** Without a slash at the end. */
  baseUrl: string
  wire: Wire
}

/** What the SDK answers, whatever was asked. */
type Answer = Awaited<ReturnType<AdminApiClient['request']>>

/**
 * The SDK answers `{ data, errors }`: whoever forgets to look at `errors` takes a shop for empty that was not read. Here
 * they are thrown. Of what ended a request the SDK keeps but a text, so that is kept beside the response.
 */
export function createShopifyClient(options: ShopifyClientOptions): AdminApiClient {
  const { shopDomain, accessToken, baseUrl, wire } = options
  const failures = new WeakMap<object, unknown>()

  const client = createAdminApiClient({
    storeDomain: shopDomain,
    apiVersion,
    accessToken,
    retries: 0,
    // Without one, it writes to the console when the version is old.
    logger: () => {},
    async customFetchApi(url, init) {
      const explained = (error: unknown) => explain(error, init?.signal)
      try {
        // It insists on https and on the shop's own domain.
        const response = await wire.fetch(`${baseUrl}${new URL(url).pathname}`, init)
        const reading = (read: () => Promise<unknown>) => () =>
          read.call(response).catch((error) => {
            failures.set(response, explained(error))
            throw failures.get(response)
          })
        return Object.assign(response, { json: reading(response.json), text: reading(response.text) })
      } catch (error) {
        const none = Response.error()
        failures.set(none, explained(error))
        return none
      }
    },
  })

  const fetch = async (...request: Parameters<AdminApiClient['fetch']>) => {
    const response = await client.fetch(...request)
    if (failures.has(response)) throw failures.get(response)
    return response
  }

  const request = async (...request: Parameters<AdminApiClient['request']>) => {
    const answer: Answer = await client.request(...request)
    const { errors } = answer
    if (!errors) return answer
    // It was not sent: the variables are no JSON, for example.
    if (!errors.response) throw new Error(errors.message)
    if (failures.has(errors.response)) throw failures.get(errors.response)
    throw await readRefusal(errors.response, { ...answer, errors: errors.graphQLErrors })
  }

  return Object.freeze({ ...client, fetch, request: request as AdminApiClient['request'] })
}

/** Shopify did not do what it was asked. */
export class ShopifyError extends Error {
  override readonly name = 'ShopifyError'
  /** Null: there was no answer, or none that can be read. A GraphQL error comes with 200. */
  readonly status: number | null
  /** Of the GraphQL error, as Shopify names it: `THROTTLED`. Null: it gave none. */
  readonly code: string | null
  /** What Shopify says of each, and nothing of what it was sent or has answered. */
  readonly graphQLErrors: readonly string[]
  readonly headers: Headers | null
  /** How long until there is enough for the same query again, in milliseconds. Null: it was not throttled by cost. */
  readonly throttledMs: number | null

  constructor(
    message: string,
    answer: {
      status: number | null
      code: string | null
      graphQLErrors?: readonly string[]
      headers?: Headers
      throttledMs?: number | null
    },
    options?: ErrorOptions,
  ) {
    super(message, options)
    this.status = answer.status
    this.code = answer.code
    this.graphQLErrors = answer.graphQLErrors ?? []
    this.headers = answer.headers ?? null
    this.throttledMs = answer.throttledMs ?? null
  }
}

/** `{ errors: [{ message, extensions: { code } }] }`, or one text in place of the list: `[API] Invalid API key`. */
interface Refusal {
  errors?: unknown
  extensions?: Answer['extensions']
}

/** The SDK reads an answer only if its status is 200. */
async function readRefusal(response: Response, answered: Refusal): Promise<ShopifyError> {
  const { status, headers } = response
  const { errors, extensions } = response.ok ? answered : (parse(await response.text()) ?? {})
  if (Array.isArray(errors) && errors.length > 0) {
    const graphQLErrors = errors.map(({ message }) => String(message))
    const codes: (string | undefined)[] = errors.map((error) => error.extensions?.code)
    const code = codes.find((one) => one === 'THROTTLED') ?? codes.find(Boolean) ?? null
    const throttledMs = code === 'THROTTLED' ? readThrottle(extensions) : null
    return new ShopifyError(graphQLErrors.join('; '), { status, code, graphQLErrors, headers, throttledMs })
  }
  if (response.ok) return noAnswer(unreadableAnswer('Shopify', form))
  const message = typeof errors === 'string' ? errors : `Shopify answered ${status}.`
  return new ShopifyError(message, { status, code: null, headers })
}

/** The bucket fills at `restoreRate` points a second. */
function readThrottle(extensions: Answer['extensions']): number | null {
  const { requestedQueryCost, throttleStatus } = extensions?.cost ?? {}
  const { currentlyAvailable, restoreRate } = throttleStatus ?? {}
  if (requestedQueryCost === undefined || currentlyAvailable === undefined || !restoreRate) return null
  return Math.max(1_000, Math.ceil(((requestedQueryCost - currentlyAvailable) / restoreRate) * 1_000))
}

function parse(text: string): Refusal | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

const form = 'GraphQL answer'

function explain(error: unknown, signal: AbortSignal | null | undefined): unknown {
  const silence = signal?.aborted ? null : readSilence(error, 'Shopify', form)
  return silence ? noAnswer(silence, { cause: error }) : error
}

function noAnswer({ code, message }: Silence, options?: ErrorOptions): ShopifyError {
  return new ShopifyError(message, { status: null, code }, options)
}
