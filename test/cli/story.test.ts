/** What an operator does at 3 a.m., at a shell: see what fails, understand it, mend it, replay exactly that. */
import { hostname, userInfo } from 'node:os'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { AuditPage } from '../../src/audit/audit.ts'
import type { BulkAction } from '../../src/runs/bulk/action.ts'
import type { Results } from '../../src/runs/bulk/results.ts'
import type { FailurePage } from '../../src/runs/failures.ts'
import type { Attempt, Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, type Running, startCgk } from './cgk.ts'

let database: TestDatabase
let env: Environment
let worker: Running
beforeAll(async () => {
  database = await createTestDatabase()
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: fixtureTasks,
    INTEGRATION_ENCRYPTION_KEY: Buffer.alloc(32, 'story').toString('base64'),
  }
  for (const slug of ['acme', 'rawdog', 'bystander']) await cgk(['tenant:create', slug], env)
  worker = startCgk(['worker'], env)
  await worker.says('Worker started')
}, 120_000)
afterAll(async () => {
  worker.child.kill('SIGTERM')
  await worker.ended
  await database.drop()
})

async function setSender(tenantId: string, domain: string): Promise<void> {
  for (const [key, value] of [
    ['api_key', `re_of_${tenantId}`],
    ['from_address', `shop@${domain}`],
  ] as const) {
    const running = startCgk(['credential:set', tenantId, 'resend', key], env, 'pipe')
    running.child.stdin!.end(value)
    expect(await running.ended).toMatchObject({ code: 0 })
  }
}

async function order(tenantId: string, orderId: string): Promise<Run> {
  const payload = JSON.stringify({ tenantId, orderId, email: 'ada@example.com' })
  const { stdout } = await cgk(['trigger', 'work/receipt', '--payload', payload, '--wait', '--json'], env)
  return JSON.parse(stdout) as Run
}

test('a failure group of two tenants is found, understood, mended and replayed', async () => {
  for (const tenantId of ['acme', 'rawdog']) await setSender(tenantId, 'old.test')
  await setSender('bystander', 'new.test')
  const failed = [
    await order('acme', 'order_1'),
    await order('acme', 'order_2'),
    await order('rawdog', 'order_3'),
  ]
  expect(failed.map(({ state }) => state)).toEqual(['failed', 'failed', 'failed'])
  expect(await order('bystander', 'order_4')).toMatchObject({ state: 'completed' })

  const { groups } = await cgkJson<FailurePage>(['failure:list'], env)
  expect(groups).toMatchObject([
    { taskId: 'work/receipt', failures: 3, tenants: 2, message: 'The domain old.test is not verified' },
  ])
  const { fingerprint } = groups[0]!
  const run = await cgkJson<Run & { attempts: Attempt[] }>(['run:show', failed[2]!.id], env)
  expect(run).toMatchObject({
    payload: { tenantId: 'rawdog', orderId: 'order_3', email: '[masked]' },
    attempts: [{ attempt: 1, error: { message: 'The domain old.test is not verified' } }],
  })
  const logs = await cgk(['run:logs', run.id], env)
  expect(logs.stdout).toContain('Sending a receipt')
  expect(logs.stdout).toContain('shop@old.test')

  for (const tenantId of ['acme', 'rawdog']) await setSender(tenantId, 'new.test')

  const selection = ['run:replay', '--failure', fingerprint, '--state', 'failed']
  const looked = await cgk(selection, env)
  expect(looked).toMatchObject({ code: 2 })
  expect(looked.stdout).toMatch(/^Replay 3 runs of 2 tenants:\n/)
  const reason = 'Both shops have moved to new.test'
  const action = await cgkJson<BulkAction>([...selection, '--yes', '--reason', reason], env)
  expect(action).toMatchObject({ state: 'completed', total: 3, counts: { done: 3 } })
  const results = async () =>
    (await cgkJson<{ results: Results }>(['replay:show', action.id], env)).results.completed
  await expect.poll(results, { timeout: 30_000 }).toBe(3)
  await cgk(['failure:resolve', fingerprint], env)
  expect((await cgkJson<FailurePage>(['failure:list'], env)).groups).toEqual([])

  const { entries } = await cgkJson<AuditPage>(['audit:list', '--action', 'run.replay'], env)
  const told = {
    actor: { kind: 'cli', name: `${userInfo().username}@${hostname()}` },
    subject: action.id,
    reason,
  }
  expect(entries).toMatchObject([told, told])
  expect(entries.map(({ tenantId, details }) => `${tenantId} ${details.runs}`).sort()).toEqual([
    'acme 2',
    'rawdog 1',
  ])
}, 180_000)
