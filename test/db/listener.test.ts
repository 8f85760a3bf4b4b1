import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { Database } from '../../src/db/database.ts'
import { Listener } from '../../src/db/listener.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'

let test: TestDatabase
let database: Database
let listener: Listener
let errors: Error[]

beforeAll(async () => {
  test = await createTestDatabase()
  database = new Database({
    url: test.url,
    poolSize: 2,
    admit: () => Promise.reject(new Error('no tenant is entered here')),
  })
})

afterAll(async () => {
  await database.close()
  await test.drop()
})

beforeEach(() => {
  errors = []
  listener = new Listener({ url: test.url, onError: (error) => errors.push(error) })
})

afterEach(async () => {
  await listener.close()
})

const until = (condition: () => boolean) => vi.waitUntil(condition, { timeout: 5_000, interval: 5 })
const notify = (channel: string, payload: string) =>
  database.query('SELECT pg_notify($1, $2)', [channel, payload])
const listening = async () =>
  (
    await database.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE application_name = 'cgk listen' AND datname = current_database()",
    )
  ).rows

it('hands each payload to the handler of its channel', async () => {
  const heard: string[] = []
  listener.on('one', (payload) => heard.push(`one ${payload}`))
  listener.on('Two "quoted"', (payload) => heard.push(`two ${payload}`))
  listener.start()
  await until(() => listener.connected)
  await notify('one', 'a')
  await notify('Two "quoted"', 'b')
  await notify('other', 'c')
  await notify('one', '')
  await until(() => heard.length === 3)
  expect(heard).toEqual(['one a', 'two b', 'one '])
  expect(errors).toEqual([])
})

it('connects to nothing before start, and once however often it is started', async () => {
  await sleep(20)
  expect(await listening()).toEqual([])
  for (let times = 0; times < 3; times += 1) listener.start()
  await until(() => listener.connected)
  expect(await listening()).toHaveLength(1)
})

it('comes back after its connection was cut, and says that something may have been missed', async () => {
  const heard: string[] = []
  let connects = 0
  listener
    .on('one', (payload) => heard.push(payload))
    .onConnect(() => {
      connects += 1
    })
  listener.start()
  await until(() => connects === 1)
  const [{ pid }] = (await listening()) as [{ pid: number }]
  await database.query('SELECT pg_terminate_backend($1)', [pid])
  await until(() => connects === 2)
  expect(errors.length).toBeGreaterThan(0)
  await notify('one', 'again')
  await until(() => heard.length === 1)
  expect(heard).toEqual(['again'])
})

it('that cannot connect says so and tries again; close ends the trying at once', async () => {
  const url = new URL(test.url)
  url.pathname = '/there_is_no_such_database'
  const lost = new Listener({ url: url.href, onError: (error) => errors.push(error) })
  lost.start()
  await until(() => errors.length >= 2)
  expect(lost.connected).toBe(false)
  const started = performance.now()
  await lost.close()
  expect(performance.now() - started).toBeLessThan(500)
})

it('does not hear anything after close, and leaves no connection', async () => {
  listener.on('one', () => expect.unreachable())
  listener.start()
  await until(() => listener.connected)
  await listener.close()
  expect(listener.connected).toBe(false)
  await notify('one', 'a')
  await vi.waitUntil(async () => (await listening()).length === 0, { timeout: 5_000 })
})
