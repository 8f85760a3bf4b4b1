/** Following a run that is running: by notifications, and without them. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Listener } from '../../src/db/listener.ts'
import {
  close,
  configure,
  createTenant,
  defaultPlatform,
  runs,
  startWorker,
} from '../../src/default-platform.ts'
import { createLogger } from '../../src/log.ts'
import { RunLogs } from '../../src/runs/journal/logs.ts'
import type { TaskContext } from '../../src/task/context.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'

let act: (context: TaskContext) => unknown = () => null
const talk = defineTask({
  id: 'logs-test/talk',
  payload: tenantPayload({}),
  retry: { maxAttempts: 2, minDelay: '1ms' },
  run: (_, context) => act(context),
})

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
  const logger = createLogger('info', { write: () => {} })
  configure({ databaseUrl: database.url, tasks: [talk], logger })
  await createTenant('shop')
  await startWorker()
})
afterAll(async () => {
  await close()
  await database.drop()
})

test('lines come while the run is running, over its attempts, and no more when it has ended', async () => {
  const seen: string[] = []
  const [half, all] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  act = async ({ logger, attempt }) => {
    logger.info(`first of ${attempt}`)
    await (attempt === 1 ? half : all).promise
    logger.info(`last of ${attempt}`)
    if (attempt === 1) throw new Error('once more')
  }
  const { id } = await talk.trigger({ tenantId: 'shop' })
  for await (const { message, seq } of runs.followLogs(id)) {
    seen.push(`${seq} ${message}`)
    // Each is seen while the run waits for it to be seen.
    if (message === 'first of 1') half.resolve()
    if (message === 'first of 2') all.resolve()
  }
  expect(seen).toEqual(['1 first of 1', '2 last of 1', '3 first of 2', '4 last of 2'])
  expect((await runs.get(id)).state).toBe('completed')
  const again: number[] = []
  for await (const { seq } of runs.followLogs(id, { after: 2 })) again.push(seq)
  expect(again).toEqual([3, 4])
})

test('more lines than a page has', async () => {
  act = ({ logger }) => {
    for (let number = 0; number < 450; number += 1) logger.info(String(number))
  }
  const { id } = await talk.trigger({ tenantId: 'shop' })
  const seen: string[] = []
  for await (const { message } of runs.followLogs(id)) seen.push(message)
  expect(seen).toEqual(Array.from({ length: 450 }, (_, number) => String(number)))
})

test('whoever follows can stop, and stops with the reason of a signal', async () => {
  const end = Promise.withResolvers<void>()
  act = async ({ logger }) => {
    logger.info('there')
    await end.promise
  }
  const { id } = await talk.trigger({ tenantId: 'shop' })
  for await (const { message } of runs.followLogs(id)) {
    expect(message).toBe('there')
    break
  }
  const stop = new AbortController()
  const following = (async () => {
    for await (const _ of runs.followLogs(id, { signal: stop.signal })) stop.abort(new Error('enough'))
  })()
  await expect(following).rejects.toThrow('enough')
  end.resolve()
  await runs.wait(id)
})

test('a run that is unknown is an error, and so is a place that is none', async () => {
  const follow = async (id: string, after?: number) => {
    for await (const _ of runs.followLogs(id, after === undefined ? {} : { after })) expect.unreachable()
  }
  await expect(follow(randomUUID())).rejects.toMatchObject({ code: 'RUN_UNKNOWN' })
  await expect(follow('nothing')).rejects.toMatchObject({ code: 'RUN_UNKNOWN' })
  await expect(follow(randomUUID(), -1)).rejects.toMatchObject({ code: 'RUN_FILTER_INVALID' })
})

test('without notifications lines come all the same', async () => {
  const { database: ours, waiter, engine } = await defaultPlatform().ready()
  const deaf = { on: () => deaf, onConnect: () => deaf, start: () => {} } as unknown as Listener
  const logs = new RunLogs({ database: ours, listener: deaf, waiter, getRun: (id) => engine.get(id) })
  const seen = Promise.withResolvers<void>()
  act = async ({ logger }) => {
    logger.info('there')
    await seen.promise
  }
  const { id } = await talk.trigger({ tenantId: 'shop' })
  const messages: string[] = []
  for await (const { message } of logs.follow(id)) {
    messages.push(message)
    seen.resolve()
  }
  expect(messages).toEqual(['there'])
})
