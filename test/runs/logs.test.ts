/** What a task writes with its logger is in the log of its run, on either engine that runs in this process. */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { deleteTenant, runs } from '../../src/default-platform.ts'
import { createLogger } from '../../src/log.ts'
import { rememberSecret } from '../../src/redact.ts'
import type { TaskContext } from '../../src/task/context.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { snooze } from '../../src/task/snooze.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

let act: (context: TaskContext) => unknown = () => null
const talk = defineTask({
  id: 'logs-test/talk',
  payload: tenantPayload({}),
  retry: { maxAttempts: 3, minDelay: '1m' },
  run: (_, context) => act(context),
})

describe.each(['inline', 'pg-boss'] as const)('%s', (engine) => {
  let kit: TestPlatform
  let tenantId: string
  /** The process's log. */
  const printed: string[] = []

  beforeAll(async () => {
    const logger = createLogger('debug', { write: (line) => void printed.push(line) })
    kit = await createTestPlatform({ engine, tasks: [talk], logger })
  })
  beforeEach(async () => {
    tenantId = await kit.tenant()
    printed.length = 0
  })
  afterAll(() => kit.close())

  const query = async <Row>(text: string, values: unknown[] = []) =>
    (await (await kit.platform.ready()).database.query<Row>(text, values)).rows

  async function runOnce(what: typeof act): Promise<string> {
    act = what
    const { id } = await talk.trigger({ tenantId })
    await kit.drain()
    return id
  }

  test('each line is kept as it was written, in order, and goes to the process as ever', async () => {
    const id = await runOnce(({ logger }) => {
      logger.trace('too low')
      logger.debug({ page: 3, task: 'mine' }, 'first')
      const child = logger.child({ part: 'a' }, { level: 'trace' })
      child.trace('of a child, with a level of its own')
      child.child({ deeper: true }).warn({ deep: { list: [1, null] } })
      logger.error(Object.assign(new Error('broke'), { code: 'E_BROKE' }))
      logger.fatal({ msg: 5, level: 'x', time: 'y' })
    })
    const { lines, next, written } = await runs.logs(id)
    expect({ next, written }).toEqual({ next: null, written: 5 })
    expect(lines.map(({ seq, attempt, level, message }) => [seq, attempt, level, message])).toEqual([
      [1, 1, 'debug', 'first'],
      [2, 1, 'trace', 'of a child, with a level of its own'],
      [3, 1, 'warn', ''],
      [4, 1, 'error', 'broke'],
      [5, 1, 'fatal', ''],
    ])
    expect(lines.map(({ fields }) => fields)).toEqual([
      { page: 3, task: 'mine' },
      { part: 'a' },
      { part: 'a', deeper: true, deep: { list: [1, null] } },
      {
        err: {
          type: 'Error',
          code: 'E_BROKE',
          message: 'broke',
          stack: expect.stringContaining('logs.test.ts'),
        },
      },
      { msg: 5 },
    ])
    const ours = printed.map((line) => JSON.parse(line)).filter(({ run }) => run === id)
    expect(ours).toHaveLength(5)
    expect(ours[1]).toMatchObject({ task: talk.id, tenant: tenantId, attempt: 1, part: 'a' })
  })

  test('in order over attempts, and over executions that spend none', async () => {
    let calls = 0
    const id = await runOnce(({ logger }) => {
      calls += 1
      logger.info(`a${calls}`)
      logger.info(`b${calls}`)
      if (calls === 1) snooze('1m')
      if (calls === 2) throw new Error('once more')
    })
    await kit.advance('2m')
    await kit.drain()
    await kit.advance('10m')
    await kit.drain()
    const { lines } = await runs.logs(id)
    expect(lines.map(({ seq, attempt, message }) => `${seq} ${attempt} ${message}`)).toEqual([
      '1 1 a1',
      '2 1 b1',
      '3 1 a2',
      '4 1 b2',
      '5 2 a3',
      '6 2 b3',
    ])
  })

  test('no secret is in it, by value or by name', async () => {
    const secret = `sk_live_${randomBytes(12).toString('hex')}`
    rememberSecret(secret)
    const id = await runOnce(({ logger, progress }) => {
      logger.info(
        { note: `it is ${secret}`, [secret]: 1, apiKey: 'short', a: { b: { token: 't0ps3cret' } } },
        secret,
      )
      logger.child({ who: secret }).error(new Error(`refused ${secret}`))
      progress({ current: 1, total: 2, message: secret })
    })
    const { lines } = await runs.logs(id)
    const all = JSON.stringify([lines, await runs.progress(id)])
    expect(lines[0]).toMatchObject({
      message: '[redacted]',
      fields: { note: 'it is [redacted]', apiKey: '[redacted]' },
    })
    expect(all).not.toMatch(/sk_live_|"short"|t0ps3cret/)
  })

  test('what Postgres would refuse is made fit for it, and what is too long is cut', async () => {
    const id = await runOnce(({ logger }) => {
      logger.info({ text: 'a\0b', 'k\0': '\ud800' }, 'NUL \0 and \udfff')
      logger.info({ big: 'x'.repeat(30_000) }, 'y'.repeat(5_000))
      logger.info({ huge: 'x'.repeat(2_000_000) }, 'huge')
      const circle: Record<string, unknown> = { one: 1n }
      circle.self = circle
      logger.info(circle, 'circle')
    })
    const { lines } = await runs.logs(id)
    const [odd, long, huge, circle] = lines
    expect(odd).toMatchObject({
      message: 'NUL \ufffd and \ufffd',
      fields: { text: 'a\ufffdb', 'k\ufffd': '\ufffd' },
    })
    expect(long!.message).toBe(`${'y'.repeat(4_000)}…`)
    expect(long!.fields).toMatchObject({
      truncated: true,
      length: expect.any(Number),
      start: expect.any(String),
    })
    expect(huge).toMatchObject({ message: 'huge', fields: { truncated: true } })
    expect(circle!.message).toBe('circle')
  })

  test('of many lines the newest are kept, over attempts, and how many there were is known', async () => {
    const id = await runOnce(({ logger, attempt }) => {
      for (let number = 1; number <= 700; number += 1) logger.info(`${attempt}.${number}`)
      if (attempt === 1) throw new Error('once more')
    })
    await kit.advance('10m')
    await kit.drain()
    const page = await runs.logs(id, { limit: 1_000 })
    expect(page).toMatchObject({ written: 1_400, next: null })
    expect(page.lines).toHaveLength(1_000)
    expect(page.lines[0]).toMatchObject({ seq: 401, attempt: 1, message: '1.401' })
    expect(page.lines.at(-1)).toMatchObject({ seq: 1_400, attempt: 2, message: '2.700' })
  })

  test('of long lines no more than a million characters are kept', async () => {
    const id = await runOnce(async ({ logger, attempt }) => {
      for (let number = 1; number <= 15; number += 1) logger.info({ text: 'x'.repeat(50_000) }, `${number}`)
      if (attempt === 1) throw new Error('once more')
    })
    await kit.advance('10m')
    await kit.drain()
    const { lines, written } = await runs.logs(id)
    expect(written).toBe(30)
    expect(lines.map(({ seq }) => seq)).toEqual(Array.from({ length: 20 }, (_, index) => index + 11))
  })

  test('page by page', async () => {
    const id = await runOnce(({ logger }) => {
      for (let number = 1; number <= 5; number += 1) logger.info(String(number))
    })
    const first = await runs.logs(id, { limit: 2 })
    const second = await runs.logs(id, { limit: 2, after: first.next! })
    const third = await runs.logs(id, { limit: 2, after: second.next! })
    expect([first, second, third].map(({ lines }) => lines.map(({ seq }) => seq))).toEqual([
      [1, 2],
      [3, 4],
      [5],
    ])
    expect(third.next).toBeNull()
    expect(await runs.logs(id, { after: 5 })).toEqual({ lines: [], next: null, written: 5 })
  })

  test('a run that writes nothing has nothing, and one that is unknown is an error', async () => {
    const id = await runOnce(() => null)
    expect(await runs.logs(id)).toEqual({ lines: [], next: null, written: 0 })
    expect(await runs.progress(id)).toBeNull()
    for (const unknown of [randomUUID(), 'nothing', "'; --"]) {
      await expect(runs.logs(unknown)).rejects.toMatchObject({ code: 'RUN_UNKNOWN' })
      await expect(runs.progress(unknown)).rejects.toMatchObject({ code: 'RUN_UNKNOWN' })
    }
    for (const options of [{ after: -1 }, { after: 1.5 }, { limit: 0 }, { limit: 1_001 }]) {
      await expect(runs.logs(id, options)).rejects.toMatchObject({ code: 'RUN_FILTER_INVALID' })
    }
  })

  test('progress is the latest word, and can be read while the run is running', async () => {
    const [told, read] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    act = async ({ progress }) => {
      for (let current = 0; current <= 1_000; current += 1) progress({ current, total: 2_000 })
      told.resolve()
      await read.promise
      progress('closing')
    }
    const { id } = await talk.trigger({ tenantId })
    const draining = kit.drain()
    await told.promise
    await expect.poll(() => runs.progress(id)).toMatchObject({ fraction: 0.5, current: 1_000, attempt: 1 })
    read.resolve()
    await draining
    expect(await runs.progress(id)).toEqual({
      fraction: null,
      current: null,
      total: null,
      message: 'closing',
      attempt: 1,
      at: expect.any(Date),
    })
  })

  test('progress that is none fails the attempt, and says what to write', async () => {
    const id = await runOnce(({ progress }) => progress(50))
    expect((await runs.get(id)).attempts[0]!.error).toMatchObject({
      code: 'PROGRESS_INVALID',
      message: expect.stringContaining('progress({ current: 3, total: 10 })'),
    })
  })

  test('a tenant that is deleted takes its logs along', async () => {
    const write = ({ logger, progress }: TaskContext) => {
      logger.info('here')
      progress(1)
    }
    await runOnce(write)
    await runOnce(write)
    const kept = () =>
      query<{ run_id: string }>(
        `SELECT run_id FROM public.platform_run_logs WHERE tenant_id = $1
         UNION ALL SELECT run_id FROM public.platform_run_log_heads WHERE tenant_id = $1
         UNION ALL SELECT run_id FROM public.platform_run_progress WHERE tenant_id = $1`,
        [tenantId],
      )
    expect(await kept()).toHaveLength(6)
    await deleteTenant(tenantId)
    expect(await kept()).toEqual([])
  })

  test('what a run writes that outlives its tenant is not kept', async () => {
    let late = () => {}
    const id = await runOnce(({ logger, progress }) => {
      late = () => {
        logger.info('late')
        progress(0.5)
      }
    })
    await deleteTenant(tenantId)
    late()
    const { journal, database } = await kit.platform.ready()
    const other = await kit.tenant()
    const flush = journal.open({ runId: randomUUID(), taskId: talk.id, tenantId: other, attempt: 1 })
    flush.line(30, '{}')
    await flush.flushed()
    const { rows } = await database.query('SELECT FROM public.platform_run_log_heads WHERE run_id = $1', [id])
    expect(rows).toEqual([])
  })
})

test('a run that writes nothing costs no connection', async () => {
  await using kit = await createTestPlatform({ tasks: [talk], logLevel: 'silent' })
  act = ({ logger }) => logger.info('below the level')
  await talk.trigger({ tenantId: await kit.tenant() })
  await kit.drain()
  const { database } = await kit.platform.ready()
  const { rows } = await database.query(
    `SELECT FROM pg_stat_activity WHERE application_name = 'cgk journal' AND datname = current_database()`,
  )
  expect(rows).toEqual([])
})
