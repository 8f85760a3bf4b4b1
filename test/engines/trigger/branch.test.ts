/** Which branch of its environment Trigger.dev is asked for: what the SDK would read by itself is not what was meant. */
import { beforeEach, expect, test, vi } from 'vitest'
import type { Engine } from '../../../src/engines/engine.ts'
import { anotherProcess, cloud, newTenant, note, onTriggerDev, platform, stored } from './kit.ts'

onTriggerDev()

beforeEach(() => {
  cloud.requests.length = 0
})

const branches = () => new Set(cloud.requests.map(({ headers }) => headers['x-trigger-branch']))

/** Every kind of request: one run, a batch, reading, and the key of a run that came to nothing. */
async function useAll(engine: Engine): Promise<void> {
  const tenantId = await newTenant()
  const key = { idempotencyKey: 'k' }
  const { id } = await note.trigger({ tenantId }, key)
  cloud.store.end(stored(id), 'CANCELED')
  await note.trigger({ tenantId }, key)
  await note.batchTrigger([{ payload: { tenantId } }, { payload: { tenantId } }])
  await engine.list({ tenantId, limit: 10 })
  for (const path of [/trigger$/, /reset$/, /batches$/]) expect(cloud.received('POST', path)).not.toEqual([])
}

test('none, though Vercel names the one it has built', async () => {
  vi.stubEnv('VERCEL_GIT_COMMIT_REF', 'feature/of-vercel')
  const { engine } = await platform.ready()
  await useAll(engine)
  expect(branches()).toEqual(new Set([undefined]))
  vi.unstubAllEnvs()
})

test('the one that is configured, whatever else is set', async () => {
  vi.stubEnv('VERCEL_GIT_COMMIT_REF', 'feature/of-vercel')
  const { engine, close } = await anotherProcess({ triggerPreviewBranch: 'feature/x' })
  await engine.list({ limit: 10 })
  expect(branches()).toEqual(new Set(['feature/x']))
  await close()
  vi.unstubAllEnvs()
})
