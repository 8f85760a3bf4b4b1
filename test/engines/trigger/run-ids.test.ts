import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { derivedRunId } from '../../../src/engines/trigger/run-id.ts'
import { attempt, doing, onExecutor, outputOf, plain, platform } from './run-kit.ts'

onExecutor()

describe('the id of a run', () => {
  test('one that the dashboard made has an id of its own, the same in every attempt', async () => {
    const payload = await doing(({ runId }) => runId)
    const options = { runId: null, triggerRunId: 'run_made_by_hand' }
    const first = await outputOf(await attempt(plain, payload, options))
    expect(first).toBe(derivedRunId('run_made_by_hand'))
    expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(await outputOf(await attempt(plain, payload, { ...options, attempt: 2 }))).toBe(first)
  })

  test('one that was replayed there is not the run whose tags it has', async () => {
    const runId = randomUUID()
    const payload = await doing((context) => context.runId)
    const options = { runId, triggerRunId: 'run_replayed', isReplay: true }
    const own = derivedRunId('run_replayed')
    expect(await outputOf(await attempt(plain, payload, options))).toBe(own)
    expect(platform.metadata.get('run_replayed')).toMatchObject({
      run: { id: own, replayOf: runId, parent: null, key: null, maxAttempts: 3 },
    })
    expect(platform.tags.get('run_replayed')).toEqual([`run:${own}`, expect.stringMatching(/^tenant:test_/)])
  })

  test('one that cannot be tagged runs all the same', async () => {
    platform.refuseTags = true
    const payload = await doing((context) => context.runId)
    const options = { runId: null, triggerRunId: 'run_untagged' }
    expect(await outputOf(await attempt(plain, payload, options))).toBe(derivedRunId('run_untagged'))
    platform.refuseTags = false
  })
})
