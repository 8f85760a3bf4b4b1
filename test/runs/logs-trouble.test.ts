/** Postgres away, answers lost, two workers at one run: no run waits for long, and no line is there twice. */
import { pino } from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, type TestContext, test } from 'vitest'
import { runs } from '../../src/default-platform.ts'
import { Journal } from '../../src/runs/journal/journal.ts'
import { defineTask } from '../../src/task/define.ts'
import type { JournaledRun, RunJournal } from '../../src/task/journal.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'
import { Wire } from '../chaos/wire.ts'

const idle = defineTask({ id: 'logs-test/idle', payload: tenantPayload({}), run: () => null })

let kit: TestPlatform
let tenantId: string
beforeAll(async () => {
  kit = await createTestPlatform({ tasks: [idle] })
  tenantId = await kit.tenant()
})
afterAll(() => kit.close())

const storing = 'platform_run_log_heads AS head'

function makeJournal(url: string, warned: string[]): Journal {
  const logger = pino({ level: 'warn' }, { write: (line) => void warned.push(JSON.parse(line).msg) })
  return new Journal({ url, logger })
}

function openJournal(url: string, warned: string[] = []): Journal {
  const journal = makeJournal(url, warned)
  onTestFinished(() => journal.close())
  return journal
}

/** A run that is really there, so that its log can be read. */
async function newRun(attempt = 1): Promise<JournaledRun> {
  const { id: runId } = await idle.trigger({ tenantId })
  return { runId, taskId: idle.id, tenantId, attempt }
}

const write = (to: RunJournal, ...texts: string[]) => {
  for (const msg of texts) to.line(30, JSON.stringify({ msg }))
}
const kept = async ({ runId }: JournaledRun) =>
  (await runs.logs(runId, { limit: 1_000 })).lines.map(
    ({ seq, attempt, message }) => `${seq} ${attempt} ${message}`,
  )

async function throughWire(
  context: TestContext,
): Promise<{ wire: Wire; journal: Journal; warned: string[] }> {
  const wire = new Wire(kit.databaseUrl)
  const warned: string[] = []
  return { wire, journal: openJournal(await wire.open(context), warned), warned }
}

test('an answer that is lost is asked for again, and stores nothing twice', async (context) => {
  const { wire, journal, warned } = await throughWire(context)
  const run = await newRun()
  const writing = journal.open(run)
  write(writing, 'a', 'b')
  const lost = wire.lose(storing, 2)
  await writing.flushed()
  await lost
  write(writing, 'c')
  await writing.flushed()
  expect(await kept(run)).toEqual(['1 1 a', '2 1 b', '3 1 c'])
  expect(warned).toEqual(['What runs wrote could not be stored'])
})

test('a statement that never arrives is sent again, and what is written meanwhile comes behind it', async (context) => {
  const { wire, journal } = await throughWire(context)
  const run = await newRun()
  const writing = journal.open(run)
  write(writing, 'a')
  const lost = wire.loseUnsent(storing, 1)
  const flushed = writing.flushed()
  await lost
  write(writing, 'b')
  await flushed
  await writing.flushed()
  expect(await kept(run)).toEqual(['1 1 a', '2 1 b'])
})

test('where Postgres is away a run ends all the same, and so does the process', async () => {
  const warned: string[] = []
  const journal = makeJournal('postgres://nobody@127.0.0.1:1/nowhere', warned)
  const writing = journal.open(await newRun())
  write(writing, ...Array(2_000).fill('x'))
  writing.progress({ fraction: 1, current: null, total: null, message: null })
  await writing.flushed()
  await journal.close()
  expect(warned.length).toBeGreaterThan(0)
  write(writing, 'nobody hears this')
  await writing.flushed()
})

test('lines of many runs travel together', async () => {
  const journal = openJournal(kit.databaseUrl)
  const all = await Promise.all(Array.from({ length: 40 }, () => newRun()))
  const before = await batches()
  await Promise.all(
    all.map(async (run) => {
      const writing = journal.open(run)
      for (let line = 0; line < 20; line += 1) write(writing, String(line))
      await writing.flushed()
    }),
  )
  expect((await batches()) - before).toBeLessThanOrEqual(2)
  for (const run of all) expect(await kept(run)).toHaveLength(20)
})

/** Batches that have been stored, as far as no later one of the same run has overwritten it. */
async function batches(): Promise<number> {
  const { database } = await kit.platform.ready()
  const { rows } = await database.query<{ flushes: number }>(
    'SELECT count(DISTINCT flush)::int AS flushes FROM public.platform_run_log_heads',
  )
  return rows[0]!.flushes
}

test('a worker that has lost the run writes behind the one that has it, and its progress counts no more', async () => {
  const run = await newRun()
  const [lost, has] = [openJournal(kit.databaseUrl), openJournal(kit.databaseUrl)].map((journal, index) =>
    journal.open({ ...run, attempt: index + 1 }),
  )
  const progress = (fraction: number) => ({ fraction, current: null, total: null, message: null })
  for (const [writing, text] of [
    [lost, 'a'],
    [has, 'b'],
    [lost, 'c'],
    [has, 'd'],
  ] as const) {
    write(writing!, text)
    writing!.progress(progress(text === 'c' ? 0.9 : 0.1))
    await writing!.flushed()
  }
  expect(await kept(run)).toEqual(['1 1 a', '2 2 b', '3 1 c', '4 2 d'])
  expect(await runs.progress(run.runId)).toMatchObject({ attempt: 2, fraction: 0.1 })
})

test('both at once get numbers of their own', async () => {
  const run = await newRun()
  const both = [1, 2].map((attempt) => openJournal(kit.databaseUrl).open({ ...run, attempt }))
  for (let round = 0; round < 20; round += 1) {
    for (const writing of both) write(writing, String(round))
    await Promise.all(both.map((writing) => writing.flushed()))
  }
  const { lines, written } = await runs.logs(run.runId)
  expect(written).toBe(40)
  expect(lines.map(({ seq }) => seq)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
  for (const attempt of [1, 2]) {
    const own = lines.filter((line) => line.attempt === attempt).map(({ message }) => Number(message))
    expect(own).toEqual([...own].sort((one, other) => one - other))
  }
})

test('what Postgres refuses is not tried for ever, and keeps nobody from writing', async () => {
  const warned: string[] = []
  const journal = openJournal(kit.databaseUrl, warned)
  const nobody = journal.open({ runId: 'no-uuid', taskId: 't', tenantId, attempt: 1 })
  write(nobody, 'x')
  await nobody.flushed()
  const run = await newRun()
  const writing = journal.open(run)
  write(writing, 'y')
  await writing.flushed()
  expect(await kept(run)).toEqual(['1 1 y'])
  expect(warned).toHaveLength(2)
})
