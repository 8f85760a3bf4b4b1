/** What a task leaves to nobody must cost no other run an attempt: a real process, and neighbours in it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, startCgk } from './cgk.ts'

const patience = { timeout: 10_000, interval: 200 }

let database: TestDatabase
let env: Environment
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks, JOBS_STOP_TIMEOUT_MS: '4000' }
  await cgk(['tenant:create', 'shop'], env)
})
afterAll(() => database.drop())

describe.each([
  ['worker', 'Worker started'],
  ['dev', 'Working until you stop it'],
])('in cgk %s', (command, started) => {
  test('a rejection is logged with its run, and every run goes on', async () => {
    const worker = startCgk([command], env)
    await worker.says(started)
    const neighbour = await trigger('work/wait', { ms: 3_000 })
    const guilty = await trigger('work/stray', { kind: 'rejection', ms: 500 })
    for (const { id } of [guilty, neighbour]) {
      await expect.poll(() => show(id), patience).toMatchObject({ state: 'completed', attempt: 1 })
    }
    expect(worker.child.exitCode).toBeNull()
    worker.child.kill('SIGTERM')
    const { code, stderr } = await worker.ended
    expect(code).toBe(0)
    const lines = stderr.split('\n').filter((line) => line.includes('Left as a rejection'))
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { level: 50, tenant: 'shop', run: guilty.id, err: { message: 'Left as a rejection' } },
    ])
  })

  test('after an exception it stops in order, and ends as a defect', async () => {
    const worker = startCgk([command], env)
    await worker.says(started)
    const late = await trigger('work/wait', { ms: 60_000 })
    const soon = await trigger('work/wait', { ms: 3_000 })
    await worker.says(soon.id)
    const guilty = await trigger('work/stray', { kind: 'exception', ms: 500 })
    const { code, stderr } = await worker.ended
    expect(code).toBe(70)
    expect(stderr).toMatch(/"level":60.*Left as an exception.*stray\.ts/)
    for (const { id } of [guilty, soon]) {
      expect(await show(id)).toMatchObject({ state: 'completed', attempt: 1 })
    }
    expect(await show(late.id)).toMatchObject({ state: 'queued', attempt: 0 })
    await cgk(['run:cancel', late.id], env)
  })
})

async function trigger(taskId: string, payload: object): Promise<Run> {
  return await cgkJson<Run>(
    ['trigger', taskId, '--payload', JSON.stringify({ tenantId: 'shop', ...payload })],
    env,
  )
}

async function show(id: string): Promise<Run> {
  return await cgkJson<Run>(['run:show', id], env)
}
