/** `cgk dev` from an empty folder, as a newcomer meets it, and what it leaves behind: nothing that runs. */
import { readdirSync, realpathSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Folder, layout } from '../../src/db/embedded/folder.ts'
import { findPostmaster } from '../../src/db/embedded/pid-file.ts'
import { killPostmaster } from '../../src/db/embedded/postmaster.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, killLeftovers, type Running, startCgk } from './cgk.ts'

let folder: Folder
let env: Environment
beforeAll(async () => {
  folder = layout(await mkdtemp(join(realpathSync(tmpdir()), 'cgk-dev-test-')))
  env = { JOBS_DATA_DIR: folder.path }
})
afterAll(async () => {
  // Only a failed test leaves either; the users of the server go before it.
  killLeftovers()
  killPostmaster(folder)
  await rm(folder.path, { recursive: true, force: true, maxRetries: 3 })
})

test('starts from nothing, shows both tenants at work, is joined, and leaves nothing running', async () => {
  const first = await startDev()
  const second = await startDev()
  await interrupt(second)
  const joined = (await second.ended).stdout
  expect(joined).toContain('Joined: it was running already')
  expectBothCompleted(joined)

  // The one that leaves does not take the server from the one that stays, which goes on working.
  const payload = JSON.stringify({ tenantId: 'acme', orderId: 'order_1001' })
  const again = await cgk(['trigger', 'orders/process-order', '--payload', payload, '--wait'], env)
  expect(again).toMatchObject({ code: 0 })
  expect(again.stdout).toContain('"alreadyProcessed": false')

  await interrupt(first)
  const { code, stdout, stderr } = await first.ended
  expect(code).toBe(0)
  expect(stdout).toContain('Tenants:    rawdog (created), acme (created)')
  expect(stdout).not.toContain('Joined')
  expectBothCompleted(stdout)
  expect(stdout).toMatch(/^One run: +npm run -s cgk -- run:show \S{36}$/m)
  expect(stdout).toMatch(/\nStopping.*\nStopped\.\n$/)
  expect(stdout + stderr).not.toMatch(/jobs:[^@/\s]+@/)
  expectNothingRuns()
})

test('a later start shows a pass of its own, and the orders are still there', async () => {
  const later = await startDev()
  const { runs } = await cgkJson<{ runs: { tenantId: string }[] }>(
    ['run:list', '--task', 'orders/process-order'],
    env,
  )
  expect(runs.filter(({ tenantId }) => tenantId === 'rawdog')).toHaveLength(3)
  later.child.kill('SIGTERM')
  const { code, stdout } = await later.ended
  expect(code).toBe(0)
  expect(stdout).toContain('Tenants:    rawdog, acme\n')
  expectBothCompleted(stdout)
  expectNothingRuns()
})

test('a suspended tenant is left out, and an app without our demo task has no show', async () => {
  await cgk(['tenant:suspend', 'rawdog'], env)
  const dev = await startDev()
  await interrupt(dev)
  const { code, stdout } = await dev.ended
  expect(code).toBe(0)
  expect(stdout).toContain('Tenants:    rawdog (suspended), acme\n')
  expect(stdout).toMatch(/^orders\/process-order +acme /m)
  expect(stdout).not.toMatch(/^orders\/process-order +rawdog /m)
  await cgk(['tenant:resume', 'rawdog'], env)
})

test('a second Ctrl-C leaves at once, and Postgres follows by itself', async () => {
  const dev = await startDev({ JOBS_TASKS: fixtureTasks })
  const payload = JSON.stringify({ tenantId: 'acme', ms: 60_000, deaf: true })
  const { id } = await cgkJson<{ id: string }>(['trigger', 'work/wait', '--payload', payload], {
    ...env,
    JOBS_TASKS: fixtureTasks,
  })
  await dev.says(id)
  await interrupt(dev)
  await sleep(600)
  dev.child.kill('SIGINT')
  const { code, stdout } = await dev.ended
  expect(code).toBe(130)
  expect(stdout).not.toContain('orders/process-order')
  await expect.poll(() => findPostmaster(folder), { timeout: 10_000 }).toBeUndefined()
})

test('a short command that started Postgres stops it, also when it is interrupted', async () => {
  expect(await cgk(['tenant:list'], env)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^rawdog /m),
  })
  expectNothingRuns()

  const payload = JSON.stringify({ tenantId: 'acme', orderId: 'order_1002' })
  const waiting = startCgk(['trigger', 'orders/process-order', '--payload', payload, '--wait'], env)
  await waiting.says('Waiting for run')
  waiting.child.kill('SIGINT')
  expect(await waiting.ended).toMatchObject({ code: 130, stdout: '' })
  expectNothingRuns()
})

async function startDev(more: Environment = {}): Promise<Running> {
  const dev = startCgk(['dev'], { ...env, ...more })
  await dev.says('Working until you stop it')
  return dev
}

/** As under npm: the terminal sends it, and npm passes it on. */
async function interrupt({ child }: Running): Promise<void> {
  child.kill('SIGINT')
  await sleep(20)
  child.kill('SIGINT')
}

function expectBothCompleted(stdout: string): void {
  for (const tenant of ['rawdog', 'acme']) {
    expect(stdout).toMatch(new RegExp(`^orders/process-order +${tenant} +\\S{36} +completed +\\d+ ms$`, 'm'))
    expect(stdout).toMatch(new RegExp(`SELECT \\* FROM tenant_${tenant}\\.orders WHERE id = '\\S+'`))
  }
}

function expectNothingRuns(): void {
  expect(findPostmaster(folder)).toBeUndefined()
  expect(readdirSync(folder.users)).toEqual([])
}
