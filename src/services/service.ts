/**
 * The contract of a service: a third party that tenants have accounts with. One file for each implements it, and is the
 * only one that knows its SDK; a line in registry.ts makes it known.
 */
import type { ServiceFailure } from './failure.ts'
import type { Wire } from './wire.ts'

/** A credential of the service: what `cgk credential:set TENANT SERVICE KEY` stores. */
export interface CredentialKey {
  /** Without it there is no client. */
  required: boolean
  /** Never shown, never logged. An address or an account number is stored as safely, but it is no secret. */
  secret: boolean
  /** What it is and where a person finds it, for prompts and errors. */
  description: string
  /** What a value looks like; a pasted value that cannot be right is refused before it is stored. */
  pattern?: RegExp
}

export type Credentials = Readonly<Record<string, string>>

/** What a client is made of. */
export interface Connection {
  /** Decrypted, by credential key; every required one is there. */
  credentials: Credentials
  tenantId: string
  /** Where the service is, without a slash at the end: the service's own default, or what the platform is told. */
  baseUrl: string
  /** How long one request may take, in milliseconds. */
  timeoutMs: number
  /** Every request of the client travels through it. */
  wire: Wire
  /** Where the provider reaches the tenant's webhook; null: the platform has no public URL. */
  webhookUrl: string | null
}

export interface Service<Client = unknown> {
  readonly name: string
  /** What people call it: Stripe, AssemblyAI. */
  readonly title: string
  readonly keys: Readonly<Record<string, CredentialKey>>
  readonly baseUrl: string
  /** How long a request may take where nobody says otherwise, in milliseconds; 30 s by default. */
  readonly timeoutMs?: number
  /** Makes a client; connects to nothing. The SDK's own retries are off: the platform's rule decides. */
  connect(connection: Connection): Client
  /** One cheap real call that succeeds exactly when the provider takes the credentials. Throws the SDK's error. */
  verify(client: Client, credentials: Credentials): Promise<void>
  /** What an error of this service's client means; null when it is not one. */
  readError(error: unknown): ServiceFailure | null
  readonly webhook?: ServiceWebhook
}

/** An event that a provider sent, as tasks see it. */
export interface WebhookEvent {
  /** The provider's own id of the event: the same on every delivery of it. */
  id: string
  /** As the provider names it: `topup.succeeded`, `video.asset.ready`, `orders/updated`. */
  type: string
  /** The parsed JSON body, as the provider documents it. */
  body: unknown
}

export interface WebhookDelivery {
  headers: Headers
  /** The raw text: signatures are made over it. */
  body: string
}

export interface ServiceWebhook {
  /** Status of the answer to a signature that is wrong, as the provider documents it. */
  readonly refusedStatus: 400 | 401
  /** Credential keys without which no delivery can be checked. */
  readonly needs: readonly string[]
  /**
   * Checks the signature with the tenant's own secret, in constant time, and its age where it carries one. Null: the
   * delivery is not this provider's. Throws nothing for a bad delivery.
   */
  open(delivery: WebhookDelivery, credentials: Credentials, tenantId: string): Promise<WebhookEvent | null>
}
