import { afterAll, beforeAll, expect, test } from 'vitest'
import type { FailurePage } from '../../src/runs/failures.ts'
import { masked } from '../../src/runs/mask.ts'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, type Running, startCgk } from './cgk.ts'

let database: TestDatabase
let env: Environment
let worker: Running
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  for (const slug of ['shop', 'store']) await cgk(['tenant:create', slug], env)
  worker = startCgk(['worker'], env)
  await worker.says('Worker started')
  for (const tenantId of ['shop', 'store', 'store']) {
    await cgk(['trigger', 'work/fail', '--payload', JSON.stringify({ tenantId }), '--wait'], env)
  }
}, 120_000)
afterAll(async () => {
  worker.child.kill('SIGTERM')
  expect(await worker.ended).toMatchObject({ code: 0, stdout: '' })
  await database.drop()
})

const list = (...args: string[]) => cgkJson<FailurePage>(['failure:list', ...args], env)

test('failure:list shows groups with a sparkline, also of one tenant alone', async () => {
  const [text, whole, shop] = await Promise.all([
    cgk(['failure:list'], env),
    list(),
    list('--tenant', 'shop'),
  ])
  expect(text.stdout).toMatch(
    /^failure +state +times +tenants +last 24 hours .*\n[0-9a-f]{20} +open +3 +2 +[·▁-█]{24} /,
  )
  expect(text.stdout).toContain('AbortTaskError (TASK_ABORTED): No luck.')
  expect(text.stdout).not.toContain('\u001b')
  expect(whole).toMatchObject({ groups: [{ failures: 3, tenants: 2, taskId: 'work/fail' }], next: null })
  expect(shop).toMatchObject({ groups: [{ failures: 1, tenants: 1, last: { tenantId: 'shop' } }] })
  expect(await cgk(['failure:list', '--task', 'work/wait'], env)).toMatchObject({ stdout: 'No failures.\n' })
})

test('failure:resolve, failure:ignore and failure:reopen mark a group', async () => {
  const { fingerprint } = (await list()).groups[0]!
  const mark = async (...args: string[]) => (await cgk(args, env)).stdout
  expect(await mark('failure:resolve', fingerprint)).toBe(`Resolved ${fingerprint}.\n`)
  expect((await list()).groups).toEqual([])
  expect((await list('--state', 'resolved,ignored')).groups).toMatchObject([{ state: 'resolved' }])
  expect(await mark('failure:ignore', fingerprint, '--for', '2h')).toMatch(
    /^Ignored [0-9a-f]{20} until .*Z\.\n$/,
  )
  expect((await list('--state', 'ignored')).groups).toMatchObject([{ state: 'ignored' }])
  expect(await mark('failure:reopen', fingerprint)).toBe(`Reopened ${fingerprint}.\n`)
  expect((await list()).groups).toMatchObject([{ state: 'open' }])
})

test('failure:resolve, failure:ignore and failure:reopen mark a group for one tenant', async () => {
  const { fingerprint } = (await list()).groups[0]!
  const states = async () =>
    (await Promise.all([list(), list('--tenant', 'shop')])).map(({ groups }) => groups.length)
  const mark = async (...args: string[]) => (await cgk([...args, '--tenant', 'shop'], env)).stdout
  expect(await mark('failure:ignore', fingerprint, '--for', '2h')).toMatch(/ for shop until .*Z\.\n$/)
  expect(await states()).toEqual([1, 0])
  expect(await mark('failure:reopen', fingerprint)).toBe(`Reopened ${fingerprint} for shop.\n`)
  expect(await states()).toEqual([1, 1])
  expect(await mark('failure:resolve', fingerprint)).toBe(`Resolved ${fingerprint} for shop.\n`)
  expect(await states()).toEqual([1, 0])
})

test('what is no group, no duration or no state is refused', async () => {
  const [resolve, ignore, reopen, soon, long, state] = await Promise.all([
    cgk(['failure:resolve', 'nothing'], env),
    cgk(['failure:ignore', 'nothing', '--for', '1h'], env),
    cgk(['failure:reopen', 'nothing'], env),
    cgk(['failure:ignore', 'nothing', '--for', 'soon'], env),
    cgk(['failure:ignore', 'nothing', '--for', '367d'], env),
    cgk(['failure:list', '--state', 'new'], env),
  ])
  for (const refused of [resolve, ignore, reopen]) {
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('(FAILURE_GROUP_UNKNOWN)') })
  }
  for (const refused of [soon, long]) {
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('It must be a duration') })
  }
  expect(state).toMatchObject({ code: 1, stderr: expect.stringContaining('(RUN_FILTER_INVALID)') })
})

test('run:list finds by failure, text, time, id and what triggered it', async () => {
  const { fingerprint } = (await list('--state', 'open,resolved,ignored')).groups[0]!
  const found = async (...args: string[]) => (await cgkJson<{ runs: Run[] }>(['run:list', ...args], env)).runs
  const [byFailure, byText, none, later, byApp] = await Promise.all([
    found('--failure', fingerprint, '--tenant', 'store'),
    found('--error', 'NO LUCK'),
    found('--error', 'no such text'),
    found('--since', '2999-01-01'),
    found('--since', '1h', '--triggered-by', 'app', '--state', 'failed'),
  ])
  expect(byFailure).toHaveLength(2)
  expect([byText, none, later, byApp].map(({ length }) => length)).toEqual([3, 0, 0, 3])
  const { id } = byFailure[0]!
  const [byId, ofRun, short, kind, time] = await Promise.all([
    found('--id', id.slice(0, 8)),
    found('--triggered-by', `run:${id}`),
    cgk(['run:list', '--id', 'abc'], env),
    cgk(['run:list', '--triggered-by', 'nobody'], env),
    cgk(['run:list', '--since', 'yesterday'], env),
  ])
  expect(byId.map((run) => run.id)).toContain(id)
  expect(ofRun).toEqual([])
  for (const refused of [short, kind]) {
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('(RUN_FILTER_INVALID)') })
  }
  expect(time).toMatchObject({ code: 2, stderr: expect.stringContaining('It must be a time') })
})

test('what the schema marks is shown only when it is asked for', async () => {
  const payload = { tenantId: 'shop', ms: 1, name: 'Ada Lovelace' }
  const { id } = await cgkJson<Run>(
    ['trigger', 'work/wait', '--payload', JSON.stringify(payload), '--wait'],
    env,
  )
  const [text, json, listed, revealed, revealedList] = await Promise.all([
    cgk(['run:show', id], env),
    cgkJson<Run>(['run:show', id], env),
    cgk(['run:list', '--tenant', 'shop', '--json'], env),
    cgkJson<Run>(['run:show', id, '--reveal'], env),
    cgk(['run:list', '--tenant', 'shop', '--json', '--reveal'], env),
  ])
  for (const { stdout } of [text, listed]) expect(stdout).not.toContain('Lovelace')
  expect(json).toMatchObject({ payload: { ...payload, name: masked }, output: masked })
  expect(revealed).toMatchObject({ payload, output: { waitedMs: 1 } })
  expect(revealedList.stdout).toContain('Lovelace')
  const gone = await cgkJson<Run>(['run:show', id], { ...env, JOBS_TASKS: '' })
  expect(gone.payload).toEqual({ tenantId: 'shop', ms: masked, name: masked })
})
