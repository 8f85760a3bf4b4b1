import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { close, configure, createTenant, setCredential } from '@cgk-platform/jobs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createApiKey } from '../../src/auth/index.ts'
import type { RunPage } from '../../src/engines/engine.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { signWebhook } from '../fixtures/providers/mux.ts'
import { cgk, cgkJson, type Ended, type Environment, startCgk } from './cgk.ts'

const secret = 'mux-webhook-secret-of-the-test'
const encryptionKeys = Buffer.alloc(32, 7).toString('base64')
let database: TestDatabase
let env: Environment
/** Of the platform. */
let key = ''

beforeAll(async () => {
  database = await createTestDatabase()
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: fileURLToPath(new URL('../http/tasks/index.ts', import.meta.url)),
    JOBS_HTTP_PORT: '0',
    INTEGRATION_ENCRYPTION_KEY: encryptionKeys,
  }
  const platform = configure({ databaseUrl: database.url, encryptionKeys, logLevel: 'silent' })
  await createTenant('shop')
  await setCredential('shop', 'mux', { webhook_secret: secret })
  const { auth } = await platform.ready()
  const scopes = ['metrics:read', 'runs:trigger', 'runs:read', 'runs:cancel'] as const
  key = (await createApiKey(auth, { name: 'test', tenantId: null, scopes }, null)).key
  await close()
})
afterAll(() => database.drop())

test('it takes webhooks until it is stopped', async () => {
  const { url, stop } = await serve()
  const { headers, body } = signWebhook({ id: 'event_1', type: 'video.asset.ready' }, secret)
  const deliver = async (to = 'shop') => {
    const answer = await fetch(`${url}/webhooks/${to}/mux`, { method: 'POST', headers, body })
    return [answer.status, await answer.json()]
  }
  expect(await deliver()).toEqual([200, { received: true }])
  expect(await deliver()).toEqual([200, { received: true, duplicate: true }])
  expect(await deliver('nobody')).toMatchObject([404, { code: 'TENANT_UNKNOWN' }])

  const ended = await stop()
  expect(ended).toMatchObject({
    code: 0,
    stderr: expect.stringMatching(/Server stopping.*\n.*Server stopped/),
  })
  expect(ended.stderr).not.toContain(secret)
  await expect(fetch(url)).rejects.toThrow()
  const { runs } = await cgkJson<RunPage>(['run:list', '--tenant', 'shop'], env)
  expect(runs).toMatchObject([{ taskId: 'inbox/video', payload: { event: 'event_1' }, state: 'queued' }])
})

test('it serves the API, probes and figures, and does itself what many runs were asked for', async () => {
  const { url, running, stop } = await serve()
  await running.says(`API:        ${url}/api/v1`)
  expect((await fetch(`${url}/health`)).status).toBe(200)
  expect((await fetch(`${url}/ready`)).status).toBe(200)
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  const api = async (path: string, body?: object) => {
    const init = body && { method: 'POST', body: JSON.stringify(body) }
    return (await (await fetch(`${url}/api/v1${path}`, { headers, ...init })).json()) as Record<
      string,
      string
    >
  }
  const payload = { tenantId: 'shop', event: 'by hand' }
  await api('/runs', { task: 'inbox/video', payload })
  const figures = await (await fetch(`${url}/metrics`, { headers })).text()
  expect(figures).toMatch(/^cgk_queue_depth\{cgk_task_id="inbox\/video"\} [1-9]/m)
  const { id } = await api('/cancellations', { filter: { tenant: 'shop' } })
  await api(`/cancellations/${id}/confirm`, { reason: 'a test' })
  await expect
    .poll(() => api(`/cancellations/${id}`), { timeout: 20_000 })
    .toMatchObject({ state: 'completed' })
  await stop()
})

test('tries to sign in are counted by the address of the socket, or the one that a proxy of ours says', async () => {
  const tries = async (url: string, email: string) => {
    const statuses = []
    for (let n = 0; n < 6; n++) {
      const headers = { 'content-type': 'application/json', 'x-forwarded-for': `10.1.${n}.1` }
      const body = JSON.stringify({ email, password: 'not this one!' })
      statuses.push((await fetch(`${url}/api/v1/session`, { method: 'POST', headers, body })).status)
    }
    return statuses
  }
  const direct = await serve()
  expect(await tries(direct.url, 'direct@x.test')).toEqual([401, 401, 401, 401, 401, 429])
  await direct.stop()
  const behind = await serve({ JOBS_TRUSTED_PROXIES: '1' })
  expect(await tries(behind.url, 'behind@x.test')).toEqual([401, 401, 401, 401, 401, 401])
  await behind.stop()
})

test('asked to stop, it answers what it has begun to read, and takes nothing new', async () => {
  const { url, running, stop } = await serve({ JOBS_PUBLIC_URL: 'https://jobs.example/' })
  await running.says('https://jobs.example/webhooks/<tenant>/<service>')
  const { headers, body } = signWebhook({ id: 'event_2', type: 'video.asset.ready' }, secret)
  const head = `POST /webhooks/shop/mux HTTP/1.1\r\nhost: x\r\nmux-signature: ${headers.get('mux-signature')}\r\n`
  const socket = await open(url)
  socket.write(`${head}content-length: ${body.length}\r\n\r\n${body.slice(0, 5)}`)
  // Another one that is only kept alive.
  const idle = await open(url)
  idle.write('GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n')
  await once(idle, 'data')

  const stopped = stop()
  await running.says('Server stopping')
  await once(idle, 'close')
  // It says so right before it does so, and a reader may be faster.
  const knock = () =>
    open(url).then(
      (one) => void one.destroy(),
      ({ code }) => code,
    )
  await expect.poll(knock).toBe('ECONNREFUSED')
  socket.write(body.slice(5))
  expect(String(await once(socket, 'data'))).toMatch(/^HTTP.1.1 200 .*"received":true/s)
  expect(await stopped).toMatchObject({ code: 0 })
})

test('who never ends a request is cut off', async () => {
  const { url, running, stop } = await serve({ JOBS_STOP_TIMEOUT_MS: '200' })
  const socket = await open(url)
  socket.write('POST /webhooks/shop/mux HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n{')
  const cut = once(socket, 'close')
  const stopped = stop()
  await running.says('Server stopping')
  await cut
  expect(await stopped).toMatchObject({ code: 0 })
})

test('what cannot be served is said', async () => {
  const taken = createServer().listen(0)
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const [inline, busy] = await Promise.all([
    cgk(['serve'], { ...env, JOBS_ENGINE: 'inline' }),
    cgk(['serve'], { ...env, JOBS_HTTP_PORT: String(port) }),
  ])
  taken.close()
  expect(inline).toMatchObject({ code: 1, stderr: expect.stringMatching(/^cgk: JOBS_ENGINE=inline/) })
  expect(busy).toMatchObject({
    code: 1,
    stdout: '',
    stderr: `cgk: Port ${port} cannot be used (EADDRINUSE). Choose another one with JOBS_HTTP_PORT. (CONFIG_INVALID)\n`,
  })
})

async function serve(more: Environment = {}) {
  const running = startCgk(['serve'], { ...env, ...more })
  let said = ''
  running.child.stdout!.on('data', (text: string) => {
    said += text
  })
  await running.says('Webhooks:')
  const url = /Listening: +(\S+)/.exec(said)![1]!
  const stop = async (): Promise<Ended> => {
    running.child.kill('SIGTERM')
    return await running.ended
  }
  return { url, running, stop }
}

async function open(url: string): Promise<Socket> {
  const { port } = new URL(url)
  const socket = connect(Number(port), 'localhost')
  await once(socket, 'connect')
  // What follows is the test's to look at.
  socket.on('error', () => {})
  return socket
}
