/** Making and ending test platforms. Each is the default platform of this process while it lives. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { z } from 'zod'
import { readTestConfig } from '../../src/config.ts'
import { createTenant, defaultPlatform, tasks } from '../../src/default-platform.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform } from '../../src/testing/index.ts'

const double = defineTask({
  id: 'numbers/double',
  payload: tenantPayload({ n: z.number() }),
  run: ({ n }) => n * 2,
})

test.each(['inline', 'pg-boss'] as const)('%s: closing leaves nothing on the server', async (engine) => {
  const platform = await createTestPlatform({ engine, tasks: [double] })
  const tenantId = await platform.tenant()
  await double.trigger({ tenantId, n: 1 })
  expect((await platform.drain()).completed).toBe(1)
  const name = new URL(platform.databaseUrl).pathname.slice(1)
  const left = async () => ({
    databases: await count('SELECT FROM pg_database WHERE datname = $1', name),
    roles: await count('SELECT FROM pg_roles WHERE starts_with(rolname, $1)', `tenant_${tenantId}_`),
  })
  expect(await left()).toEqual({ databases: 1, roles: 1 })

  await platform.close()
  await platform.close()
  expect(await left()).toEqual({ databases: 0, roles: 0 })
  expect(defaultPlatform()).not.toBe(platform.platform)
})

test('without a template it migrates by itself', async () => {
  expect(readTestConfig().template).toBeDefined()
  vi.stubEnv('CGK_TEST_TEMPLATE', '')
  onTestFinished(() => void vi.unstubAllEnvs())
  await using platform = await createTestPlatform({ tasks: [double] })
  expect(await platform.runTask(double, { tenantId: await platform.tenant(), n: 1 })).toBe(2)
})

test('it has the tasks of the project when none are given', async () => {
  await using _platform = await createTestPlatform()
  expect((await tasks.list()).map(({ id }) => id)).toContain('orders/process-order')
})

test('two at once are two worlds; what is triggered goes to the later one', async () => {
  await using one = await createTestPlatform({ tasks: [double] })
  await using two = await createTestPlatform({ tasks: [double] })
  const tenantId = await two.tenant()
  await double.trigger({ tenantId, n: 1 })
  await one.refuteEnqueued(double)
  await two.assertEnqueued(double)
  await expect(createTenant(tenantId)).rejects.toMatchObject({ code: 'TENANT_EXISTS' })
})

test('closing the earlier one leaves the later one the default', async () => {
  const one = await createTestPlatform({ tasks: [double] })
  await using two = await createTestPlatform({ tasks: [double] })
  await one.close()
  expect(defaultPlatform()).toBe(two.platform)
  await two.tenant()
})

test('a platform that cannot start says why', async () => {
  const failing = createTestPlatform({ migrationsDir: '/nowhere', tasks: [] })
  await expect(failing).rejects.toMatchObject({ code: 'MIGRATION_FAILED' })
})

test('drain names the run that does not end', async () => {
  const end = Promise.withResolvers<void>()
  const stuck = defineTask({ id: 'numbers/stuck', payload: tenantPayload({}), run: () => end.promise })
  await using platform = await createTestPlatform({ tasks: [stuck] })
  await stuck.trigger({ tenantId: await platform.tenant() })
  setTimeout(end.resolve, 200)
  await expect(platform.drain({ timeout: 50 })).rejects.toThrow(/gave up after 50 ms.*1 of numbers\/stuck/)
})

test('the kit works under node:test', async () => {
  const file = join(import.meta.dirname, '../fixtures/kit/node-test.ts')
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, ['--test', '--test-reporter=tap', file], {
    env,
  })
  expect(stdout).toContain('# pass 1')
})

async function count(query: string, parameter: string): Promise<number> {
  const client = new Client({ connectionString: readTestConfig().serverUrl })
  await client.connect()
  const { rowCount } = await client.query(query, [parameter])
  await client.end()
  return rowCount!
}
