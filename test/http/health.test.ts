/** What probes are told, and that nobody learns anything by it. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createHttpApp } from '../../src/http/index.ts'
import { createLogger } from '../../src/log.ts'
import { Platform } from '../../src/platform.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

let kit: TestPlatform
beforeAll(async () => {
  kit = await createTestPlatform({ engine: 'pg-boss', tasks: [] })
})
afterAll(() => kit.close())

const ask = async (platform: Platform | undefined, path: string) => {
  const response = await createHttpApp(platform ? { platform } : {}).request(path)
  return { status: response.status, headers: response.headers, body: await response.json() }
}

test('a platform that can work', async () => {
  expect(await ask(kit.platform, '/health')).toMatchObject({ status: 200, body: { status: 'ok' } })
  expect(await ask(kit.platform, '/ready')).toMatchObject({ status: 200, body: { status: 'ready' } })
})

test('where the app is mounted elsewhere, they are there', async () => {
  const app = createHttpApp({ platform: kit.platform, basePath: '/api' })
  expect((await app.request('/api/ready')).status).toBe(200)
  expect((await app.request('/ready')).status).toBe(404)
})

test('without a database it lives and is not ready; why is for the log alone', async () => {
  const logged: string[] = []
  const away = new Platform({
    databaseUrl: 'postgres://somebody:the-password@127.0.0.1:9/jobs',
    tasks: [],
    logger: createLogger('warn', { write: (line) => void logged.push(line) }),
  })
  expect(await ask(away, '/health')).toMatchObject({ status: 200, body: { status: 'ok' } })
  const { status, headers, body } = await ask(away, '/ready')
  expect([status, body]).toEqual([
    503,
    {
      type: 'about:blank',
      title: 'Service Unavailable',
      status: 503,
      detail: 'This process cannot do its work at the moment.',
      code: 'NOT_READY',
    },
  ])
  expect(headers.get('retry-after')).toBe('5')
  expect(logged.join()).toMatch(/ECONNREFUSED.*Not ready/)
  expect(logged.join()).not.toContain('the-password')
  await away.close()
})

test('a platform that was closed is not ready', async () => {
  const closed = new Platform({ engine: 'inline', tasks: [], logLevel: 'silent' })
  await closed.close()
  expect(await ask(closed, '/ready')).toMatchObject({ status: 503, body: { code: 'NOT_READY' } })
})

test('however many ask at once, one looks', async () => {
  const { engine } = await kit.platform.ready()
  let looks = 0
  const { get } = engine
  engine.get = async (...args) => {
    looks += 1
    return await get.apply(engine, args)
  }
  const app = createHttpApp({ platform: kit.platform })
  const answers = await Promise.all(Array.from({ length: 20 }, () => app.request('/ready')))
  engine.get = get
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(looks).toBe(1)
})
