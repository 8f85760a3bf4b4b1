import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { RunLogLine } from '../../src/runs/journal/read-lines.ts'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, type Running, startCgk } from './cgk.ts'

let database: TestDatabase
let env: Environment
let worker: Running
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  await cgk(['tenant:create', 'shop'], env)
  worker = startCgk(['worker'], env)
  await worker.says('Worker started')
})
afterAll(async () => {
  worker.child.kill('SIGTERM')
  await worker.ended
  await database.drop()
})

interface Talk {
  lines: number
  until?: string
  fails?: boolean
}

async function talk({ lines, until, fails = false }: Talk, ...args: string[]): Promise<string> {
  const payload = JSON.stringify({ tenantId: 'shop', lines, until: until ?? null, fails })
  return (await cgkJson<Run>(['trigger', 'work/talk', '--payload', payload, ...args], env)).id
}

const time = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}Z`

test('prints the lines of a run in order, as text and as JSON, and exits 0 whatever became of it', async () => {
  const id = await talk({ lines: 2, fails: true }, '--wait')
  const [text, json, warnings] = await Promise.all([
    cgk(['run:logs', id], env),
    cgk(['run:logs', id, '--json'], env),
    cgk(['run:logs', id, '--level', 'warn'], env),
  ])
  expect(text).toMatchObject({ code: 0, stderr: '' })
  const pattern = [
    `${time} info  a line  line=1`,
    `${time} info  a line  line=2`,
    'Attempt 2:',
    `${time} info  a line  line=1`,
    `${time} info  a line  line=2`,
    `${time} warn  in trouble`,
    '  AbortTaskError: No luck\\.',
    '      at ',
  ]
  expect(text.stdout).toMatch(new RegExp(`^${pattern.join('\n')}`))
  expect(text.stdout).not.toContain('\u001b')
  const lines = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as RunLogLine)
  expect(lines.map(({ seq, attempt, level }) => [seq, attempt, level])).toEqual([
    [1, 1, 'info'],
    [2, 1, 'info'],
    [3, 2, 'info'],
    [4, 2, 'info'],
    [5, 2, 'warn'],
  ])
  expect(warnings.stdout).toMatch(new RegExp(`^Attempt 2:\n${time} warn  in trouble\n`))
})

test('says what was not kept', async () => {
  const id = await talk({ lines: 1_100 }, '--wait')
  const { stdout } = await cgk(['run:logs', id], env)
  expect(stdout).toMatch(new RegExp(`^\\(101 lines not kept\\)\n${time} info  a line  line=102\n`))
  expect(stdout.match(/a line/g)).toHaveLength(999)
})

test('--follow goes on until the run has ended, and exits as it did', async () => {
  const [id, failing] = [await talk({ lines: 1, until: 'go@x.test' }), await talk({ lines: 1, fails: true })]
  const following = startCgk(['run:logs', id, '--follow'], env)
  await following.says('in trouble')
  await customer('go@x.test')
  const [ended, failed] = await Promise.all([following.ended, cgk(['run:logs', failing, '--follow'], env)])
  expect(ended).toMatchObject({ code: 0, stderr: '' })
  expect(failed.code).toBe(1)
  expect(failed.stdout).toContain('Attempt 2:')
})

test('Ctrl-C ends following and not the run', async () => {
  const id = await talk({ lines: 1, until: 'later@x.test' })
  const following = startCgk(['run:logs', id, '--follow'], env)
  await following.says('in trouble')
  following.child.kill('SIGINT')
  expect(await following.ended).toMatchObject({ code: 130, stderr: '' })
  expect(await cgkJson<Run>(['run:show', id], env)).toMatchObject({ state: 'running' })
  await customer('later@x.test')
})

test('refuses what it cannot use', async () => {
  const [unknown, level, inline] = await Promise.all([
    cgk(['run:logs', 'nothing'], env),
    cgk(['run:logs', 'nothing', '--level', 'loud'], env),
    cgk(['run:logs', 'nothing'], { ...env, JOBS_ENGINE: 'inline' }),
  ])
  expect(unknown).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('(RUN_UNKNOWN)') })
  expect(level).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('Allowed choices are trace'),
  })
  expect(inline).toMatchObject({ code: 1, stderr: expect.stringContaining('JOBS_ENGINE=inline') })
})

async function customer(email: string): Promise<void> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('INSERT INTO tenant_shop.customers (email) VALUES ($1)', [email])
  await client.end()
}
