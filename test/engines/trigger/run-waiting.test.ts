import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readWaitingNote } from '../../../src/engines/trigger/waiting-note.ts'
import { snooze } from '../../../src/task/snooze.ts'
import {
  attempt,
  doing,
  errorOf,
  onExecutor,
  outputOf,
  over,
  patient,
  plain,
  platform,
  recorded,
  retries,
} from './run-kit.ts'

onExecutor()

describe('a run that comes back later waits in the same attempt', () => {
  test('snooze: a few seconds are slept, more are left to Trigger.dev', async () => {
    platform.onWait = over
    const runId = randomUUID()
    let calls = 0
    const payload = await doing(({ attempt }) => {
      calls += 1
      if (calls === 1) snooze(20)
      if (calls === 2) snooze('10m')
      return { calls, attempt }
    })
    const result = await attempt(plain, payload, { runId, triggerRunId: 'run_snoozes' })
    expect(await outputOf(result)).toEqual({ calls: 3, attempt: 1 })
    expect(platform.waits).toMatchObject([{ triggerRunId: 'run_snoozes' }])
    expect(platform.waits[0]!.ms).toBeGreaterThan(595_000)
    expect(platform.waits[0]!.ms).toBeLessThanOrEqual(600_000)
    expect(await recorded(runId)).toEqual([])
    // While it waits, the run says why; afterwards it does not.
    const told = platform.told.map(readWaitingNote)
    expect(told.find((note) => note !== null)).toMatchObject({
      state: 'scheduled',
      by: null,
      reason: { code: 'SNOOZED' },
      until: expect.any(String),
    })
    expect(`${result.flushedMetadata?.data}${JSON.stringify(platform.told.slice(1))}`).toMatch(/"delete"|{}/)
    expect(platform.misfits).toEqual([])
  })

  test('an attempt that fails after it had waited is one attempt', async () => {
    platform.onWait = over
    const runId = randomUUID()
    let calls = 0
    const payload = await doing(() => {
      calls += 1
      if (calls === 1) snooze('1m')
      throw new Error('after all')
    })
    expect(retries(await attempt(plain, payload, { runId, attempt: 2 }))).toBe(true)
    const told = platform.told.map(readWaitingNote)
    expect(told.find((note) => note !== null)).toMatchObject({ state: 'retrying' })
    expect(await recorded(runId)).toMatchObject([{ attempt: 2, result: 'retry', message: 'after all' }])
  })

  test('the note of a process that died while it waited is dropped by the next attempt', async () => {
    const note = { state: 'held', by: 'mux', until: null, reason: { message: 'held' } }
    const options = { triggerRunId: 'run_noted', attempt: 2, metadata: { waiting: note, own: 'kept' } }
    platform.metadata.set('run_noted', options.metadata)
    const payload = await doing(async () => {
      await expect.poll(() => platform.metadata.get('run_noted')).toEqual({ own: 'kept' })
      return 'done'
    })
    expect(await outputOf(await attempt(plain, payload, options))).toBe('done')
  })

  test('each execution has the whole timeout', async () => {
    let calls = 0
    const payload = await doing(async () => {
      calls += 1
      await new Promise((resolve) => setTimeout(resolve, 900))
      if (calls < 3) snooze(1)
      return calls
    })
    expect(await outputOf(await attempt(patient, payload))).toBe(3)
  })

  test('a cancel ends the wait, short or long', async () => {
    for (const duration of ['3s', '1h'] as const) {
      const cancel = new AbortController()
      let calls = 0
      const payload = await doing(() => {
        calls += 1
        setTimeout(() => cancel.abort(), 30)
        snooze(duration)
      })
      const result = await attempt(plain, payload, { signal: cancel.signal })
      expect(errorOf(result)).toMatchObject({ code: 'RUN_CANCELLED' })
      expect(retries(result)).toBe(false)
      expect(calls).toBe(1)
    }
  })

  test('a cancel that comes while Trigger.dev is asked to wait is not missed', async () => {
    const cancel = new AbortController()
    const payload = await doing(() => snooze('1h'))
    const asking = attempt(plain, payload, { signal: cancel.signal })
    await expect.poll(() => platform.told.length, { interval: 1 }).toBeGreaterThan(0)
    cancel.abort()
    expect(errorOf(await asking)).toMatchObject({ code: 'RUN_CANCELLED' })
  })

  test('where Trigger.dev cannot be asked to wait, the run does not run early and spends no attempt', async () => {
    platform.onWait = over
    platform.failNext = 1
    let calls = 0
    const payload = await doing(() => {
      calls += 1
      if (calls === 1) snooze('1h')
      return calls
    })
    expect(await outputOf(await attempt(plain, payload))).toBe(2)
    expect(platform.waits).toHaveLength(1)
  })
})
