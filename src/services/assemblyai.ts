/** AssemblyAI: transcripts. One is submitted with the address of our webhook, which tells when it is done. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { AssemblyAI } from 'assemblyai'
import { rememberSecret } from '../redact.ts'
import { failureOf } from './failure.ts'
import type { Service } from './service.ts'
import { readSilence } from './silence.ts'
import type { Wire } from './wire.ts'

/** The SDK's client, and what a transcript is submitted with so that AssemblyAI tells when it is done. */
export type TenantAssemblyAI = AssemblyAI & {
  /** Null: the platform has no public URL. */
  readonly webhook: { url: string; authorization: { name: string; value: string } } | null
}

export const assemblyai: Service<TenantAssemblyAI> = {
  name: 'assemblyai',
  title: 'AssemblyAI',
  baseUrl: 'https://api.assemblyai.com',
  keys: {
    api_key: { required: true, secret: true, description: 'API key: AssemblyAI dashboard, API Keys' },
  },

  connect({ credentials, tenantId, baseUrl, wire, webhookUrl }) {
    const apiKey = credentials.api_key ?? ''
    const client = new AssemblyAI({ apiKey, baseUrl })
    for (const part of Object.values(client)) sendThrough(wire, baseUrl, part)
    const authorization = webhookAuthorization(apiKey, tenantId)
    rememberSecret(authorization.value)
    return Object.assign(client, { webhook: webhookUrl === null ? null : { url: webhookUrl, authorization } })
  },

  async verify(client) {
    await client.transcripts.list({ limit: 1 })
  },

  readError(error) {
    if (!(error instanceof AssemblyAIError)) return null
    const { status, code, message, headers } = error
    if (status === null) return { kind: 'transient', code: code ?? 'connection_error', message }
    // An error like any other, but for its text. When somebody has paid the same call succeeds, so the tenant's runs wait.
    if (status === 402 || (status === 400 && /account balance is negative/i.test(message))) {
      return { kind: 'limited', code: code ?? 'balance_negative', message, retryAfterMs: unpaidWaitMs }
    }
    return failureOf({ status, code, message, headers })
  },

  webhook: {
    refusedStatus: 401,
    needs: ['api_key'],
    async open({ headers, body }, credentials, tenantId) {
      const { name, value } = webhookAuthorization(credentials.api_key ?? '', tenantId)
      if (!timingSafeEqual(digest(headers.get(name) ?? ''), digest(value))) return null
      const event = parse(body)
      const { transcript_id: id, status } = event ?? {}
      if (typeof id !== 'string' || typeof status !== 'string') return null
      return { id: `${id}:${status}`, type: `transcript.${status}`, body: event }
    },
  },
}

const unpaidWaitMs = 15 * 60_000

/**
 * The header that AssemblyAI is asked, when a transcript is submitted, to send with its webhook: as
 * `webhook_auth_header_name` and `webhook_auth_header_value`. It signs nothing, so this is what proves a delivery.
 * Derived from the key, it needs no secret of its own; it tells nothing about the key, and is another for each tenant.
 */
export function webhookAuthorization(apiKey: string, tenantId: string): { name: string; value: string } {
  const value = createHmac('sha256', apiKey).update(`cgk webhook assemblyai ${tenantId}`).digest('hex')
  return { name: 'x-cgk-webhook-authorization', value }
}

/** What is wrong with a call, with the status that the SDK's own plain Error leaves out. */
export class AssemblyAIError extends Error {
  override readonly name = 'AssemblyAIError'
  /** Null: there was no answer, or none that can be read. */
  readonly status: number | null
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

/** What every part of the SDK (transcripts, files, ...) inherits and sends its requests by. */
interface Part {
  fetchResponse(input: string, init?: RequestInit): Promise<Response>
}

/**
 * The SDK calls the global `fetch` and takes none of ours, and it throws a plain Error with nothing but a text. This is
 * the one place that all its requests pass, before it looks at the status: here they get onto the wire.
 */
function sendThrough(wire: Wire, baseUrl: string, part: Part): void {
  const send = part.fetchResponse.bind(part)
  part.fetchResponse = async (input, init = {}) => {
    const response = await wire.send(baseUrl, init, (ready) => send(input, ready)).catch(throwSilence)
    if (response.status >= 400) throw await readRefusal(response)
    const json = response.json.bind(response)
    return Object.assign(response, { json: () => json().catch(throwSilence) })
  }
}

async function readRefusal(response: Response): Promise<AssemblyAIError> {
  const { status, headers } = response
  const body = parse(await response.text().catch(() => ''))
  const message = typeof body?.error === 'string' ? body.error : `AssemblyAI answered ${status}.`
  const code = typeof body?.error_code === 'string' ? body.error_code : null
  return new AssemblyAIError(message, { status, code, headers })
}

function throwSilence(error: unknown): never {
  const silence = readSilence(error, 'AssemblyAI')
  if (!silence) throw error
  const { code, message } = silence
  throw new AssemblyAIError(message, { status: null, code, headers: null }, { cause: error })
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' ? (value as Record<string, unknown> | null) : null
  } catch {
    return null
  }
}

/** Of one length, so that the time of a comparison tells nothing. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
