import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, startCgk } from './cgk.ts'

let database: TestDatabase
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  await cgk(['tenant:create', 'shop'], env)
})
afterAll(() => database.drop())

test('asked to stop, it finishes what runs', async () => {
  const worker = startCgk(['worker', '--concurrency', '3'], env)
  const { id } = await trigger({ ms: 1_200 })
  await worker.says(id)
  worker.child.kill('SIGTERM')
  const ended = await worker.ended
  expect(ended).toMatchObject({ code: 0, stdout: '' })
  expect(ended.stderr).toMatch(/Worker stopping.*\n.*Worker stopped/)
  expect(await show(id)).toMatchObject({ state: 'completed', attempt: 1 })
})

test('what does not finish in time is handed back, and no attempt is spent', async () => {
  const worker = startCgk(['worker'], { ...env, JOBS_STOP_TIMEOUT_MS: '100' })
  const { id } = await trigger({ ms: 60_000 })
  await worker.says(id)
  worker.child.kill('SIGINT')
  expect(await worker.ended).toMatchObject({ code: 0 })
  expect(await show(id)).toMatchObject({ state: 'queued', attempt: 0 })
  await cgk(['run:cancel', id], env)
})

test('a second Ctrl-C leaves at once; one that only arrives twice does not', async () => {
  const worker = startCgk(['worker'], env)
  const { id } = await trigger({ ms: 60_000, deaf: true })
  await worker.says(id)
  worker.child.kill('SIGINT')
  await sleep(50)
  worker.child.kill('SIGINT')
  await sleep(600)
  expect(worker.child.exitCode).toBeNull()
  worker.child.kill('SIGINT')
  expect(await worker.ended).toMatchObject({ code: 130 })
  expect(await show(id)).toMatchObject({ state: 'running' })
  await cgk(['run:cancel', id], env)
})

test('--tasks chooses; a pattern without a task is refused', async () => {
  const chosen = startCgk(['worker', '--tasks', 'work/fail,work/f*'], env)
  await chosen.says('Worker started')
  const waiting = await trigger({ ms: 1 })
  const failed = await cgk(['trigger', 'work/fail', '--payload', '{"tenantId":"shop"}', '--wait'], env)
  expect(failed.stdout).toMatch(/^state +failed/m)
  expect(await show(waiting.id)).toMatchObject({ state: 'queued' })
  chosen.child.kill('SIGINT')
  expect(await chosen.ended).toMatchObject({ code: 0 })

  const [unmatched, nothing, none, many] = await Promise.all([
    cgk(['worker', '--tasks', 'nothing/*'], env),
    cgk(['worker', '--tasks', ''], env),
    cgk(['worker', '--concurrency', '0'], env),
    cgk(['worker', '--concurrency', '10001'], env),
  ])
  expect(nothing).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^cgk: .*at least one.*TASK_INVALID/),
  })
  expect(many).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^cgk: concurrency: .*CONFIG_INVALID/),
  })
  expect(unmatched).toMatchObject({ code: 1, stderr: 'cgk: No task matches "nothing/*". (TASK_INVALID)\n' })
  expect(none).toMatchObject({ code: 2 })
})

async function trigger(payload: { ms: number; deaf?: boolean }): Promise<Run> {
  return await cgkJson<Run>(
    ['trigger', 'work/wait', '--payload', JSON.stringify({ tenantId: 'shop', ...payload })],
    env,
  )
}

async function show(id: string): Promise<Run> {
  return await cgkJson<Run>(['run:show', id], env)
}
