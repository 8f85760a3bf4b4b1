/** A server on a port of its own, tenants that have accounts with the providers, and deliveries to them. */
import { randomBytes, randomUUID } from 'node:crypto'
import { defineTask, setCredential, tenantPayload } from '@cgk-platform/jobs'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { z } from 'zod'
import { createHttpApp } from '../../src/http/index.ts'
import { type HttpServer, startHttpServer } from '../../src/http/server.ts'
import { createLogger } from '../../src/log.ts'
import type { Credentials, WebhookDelivery } from '../../src/services/service.ts'
import type { AnyTask } from '../../src/task/define.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { mux, type Provider, providers } from './providers.ts'

export let kit: TestPlatform
export let server: HttpServer
/** What was logged since the test began. */
export const logged: string[] = []

/** One for each provider: `inbox/mux` is triggered by what Mux sends. */
export const inbox: readonly AnyTask[] = providers.map(({ service, type, readAbout }) =>
  defineTask({
    id: `inbox/${service}`,
    payload: tenantPayload({ about: z.string(), event: z.string() }),
    webhooks: [
      { service, events: [type], payload: ({ id, body }) => ({ about: readAbout(body), event: id }) },
    ],
    run: ({ about }) => about,
  }),
)

export function useServer({ engine = 'pg-boss', tasks = inbox }: UseServer = {}): void {
  beforeAll(async () => {
    const anyKey = () => randomBytes(32).toString('base64')
    kit = await createTestPlatform({
      engine,
      tasks,
      encryptionKeys: anyKey(),
      shopifyEncryptionKeys: anyKey(),
      logger: createLogger('info', { write: (line) => void logged.push(line) }),
    })
    const app = createHttpApp({ platform: kit.platform })
    server = await startHttpServer({ fetch: (request) => app.fetch(request), port: 0 })
  })
  beforeEach(() => void logged.splice(0))
  afterAll(async () => {
    await server?.stop({ timeoutMs: 0 })
    await kit?.close()
  })
}

interface UseServer {
  engine?: 'pg-boss' | 'inline'
  tasks?: readonly AnyTask[]
}

export interface Account {
  tenantId: string
  credentials: Credentials
}

/** A new tenant with an account at the provider. */
export async function newAccount({ service, newCredentials }: Provider = mux): Promise<Account> {
  const tenantId = await kit.tenant()
  const credentials = newCredentials()
  await setCredential(tenantId, service, credentials)
  return { tenantId, credentials }
}

/** A signed event of Mux, unless it is said of whom. */
export function delivery(account: Account, id: string = randomUUID(), about = 'video_1'): WebhookDelivery {
  return mux.deliver({ ...account, id, about })
}

export interface Answer {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: whatever the server answers.
  body: any
  ms: number
}

export async function post(
  tenantId: string,
  service: string,
  { headers, body }: WebhookDelivery,
): Promise<Answer> {
  const from = performance.now()
  const url = `${server.url}/webhooks/${tenantId}/${service}`
  const response = await fetch(url, { method: 'POST', headers, body })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    body: JSON.parse(text),
    ms: performance.now() - from,
  }
}

/** Every answer that is no 200 is a problem of RFC 9457, and says no more than that. */
export function expectProblem(answer: Answer, status: number, code: string): void {
  expect(answer.body).toEqual({
    type: 'about:blank',
    title: expect.any(String),
    status,
    detail: expect.any(String),
    code,
  })
  expect(answer.status).toBe(status)
  expect(answer.headers.get('content-type')).toBe('application/problem+json')
}

export async function runsOf(tenantId: string) {
  const { engine } = await kit.platform.ready()
  return (await engine.list({ tenantId, limit: 100 })).runs
}

export interface TakenEvent {
  service: string
  event_id: string
  type: string
  run_ids: string[]
}

export async function eventsOf(tenantId: string): Promise<TakenEvent[]> {
  const { database } = await kit.platform.ready()
  const { rows } = await database.query<TakenEvent>(
    'SELECT service, event_id, type, run_ids FROM public.platform_webhook_events WHERE tenant_id = $1 ORDER BY received_at',
    [tenantId],
  )
  return rows
}
