/** AssemblyAI: transcripts. They are submitted, and a webhook tells when they are done. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { AssemblyAI } from 'assemblyai'
import { JobsError } from '../errors.ts'
import { failureOf } from './failure.ts'
import type { Service, WebhookEvent } from './service.ts'
import type { Wire } from './wire.ts'

export const assemblyai: Service<AssemblyAI> = {
  name: 'assemblyai',
  title: 'AssemblyAI',
  baseUrl: 'https://api.assemblyai.com',
  keys: {
    api_key: { required: true, secret: true, description: 'API key: AssemblyAI dashboard, API Keys' },
  },

  connect({ credentials, baseUrl, wire }) {
    const client = new AssemblyAI({ apiKey: credentials.api_key ?? '', baseUrl })
    for (const part of Object.values(client)) sendThrough(wire, part)
    return client
  },

  async verify(client) {
    await client.transcripts.list({ limit: 1 })
  },

  readError(error) {
    if (!(error instanceof AssemblyAIError)) return null
    const { status, code, message, headers } = error
    if (status === null) return { kind: 'transient', code: code ?? 'connection_error', message }
    return failureOf({ status, code, message, headers })
  },

  webhook: {
    refusedStatus: 401,
    needs: ['api_key'],
    async open({ headers, body }, credentials, tenantId): Promise<WebhookEvent | null> {
      const expected = webhookAuthorization(credentials.api_key ?? '', tenantId)
      const given = headers.get(expected.name)
      if (!given || !timingSafeEqual(digest(given), digest(expected.value))) return null
      try {
        const event = JSON.parse(body) as { transcript_id?: unknown; status?: unknown }
        const { transcript_id: id, status } = event
        if (typeof id !== 'string' || typeof status !== 'string') return null
        return { id: `${id}:${status}`, type: `transcript.${status}`, body: event }
      } catch {
        return null
      }
    },
  },
}

/** The header that a submit asks AssemblyAI to send with its webhook: the proof that it was us who asked. */
export function webhookAuthorization(apiKey: string, tenantId: string): { name: string; value: string } {
  const value = createHmac('sha256', apiKey).update(`cgk webhook assemblyai ${tenantId}`).digest('hex')
  return { name: 'x-cgk-webhook-authorization', value }
}

/** What the SDK leaves out of the plain Error that it throws. */
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

interface Part {
  fetchResponse(input: string, init?: RequestInit): Promise<Response>
}

function sendThrough(wire: Wire, part: Part): void {
  const original = part.fetchResponse.bind(part)
  part.fetchResponse = async (input, init = {}) => {
    try {
      const response = await wire.send(init, (ready) => original(input, ready))
      if (response.status < 400) return response
      const { status, headers } = response
      throw new AssemblyAIError(`AssemblyAI answered ${status}.`, { status, code: null, headers })
    } catch (error) {
      if (error instanceof AssemblyAIError || error instanceof JobsError) throw error
      const nothing = { status: null, code: 'connection_error', headers: null }
      throw new AssemblyAIError('AssemblyAI could not be reached.', nothing, { cause: error })
    }
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
