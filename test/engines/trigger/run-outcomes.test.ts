/** What Trigger.dev is told of an attempt, and what is kept of it. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { AbortTaskError, RunCancelledError } from '../../../src/errors.ts'
import { snooze } from '../../../src/task/snooze.ts'
import {
  attempt,
  brief,
  doing,
  echo,
  ended,
  errorOf,
  kit,
  onExecutor,
  outputOf,
  over,
  plain,
  platform,
  recorded,
  retries,
} from './run-kit.ts'

onExecutor()

describe('an attempt that ends', () => {
  test('completed: its output, and what the run knows of itself', async () => {
    const runId = randomUUID()
    const payload = await doing(({ runId, attempt, maxAttempts, tenantId, idempotencyKey }) => ({
      runId,
      attempt,
      maxAttempts,
      tenantId,
      key: idempotencyKey('call'),
    }))
    const result = await attempt(plain, payload, { runId, attempt: 2, maxAttempts: 7 })
    expect(result).toMatchObject({ ok: true })
    expect(await outputOf(result)).toEqual({
      runId,
      attempt: 2,
      maxAttempts: 7,
      tenantId: payload.tenantId,
      key: `${runId}:call`,
    })
    expect(await recorded(runId)).toEqual([])
  })

  test('nothing, and what cannot be JSON, are outputs', async () => {
    expect(await outputOf(await attempt(plain, await doing(() => undefined)))).toBe(null)
    expect(await outputOf(await attempt(plain, await doing(() => ({ n: 10n, text: 'a\0b' }))))).toEqual({
      n: '10',
      text: 'a\u{FFFD}b',
    })
  })

  test('the payload is parsed once', async () => {
    const tenantId = await kit.tenant()
    expect(await outputOf(await attempt(echo, { tenantId, text: 'x' }))).toEqual({
      tenantId,
      text: '<x>',
      count: 1,
    })
  })

  test('failed: retried after the delay of the rule, and recorded', async () => {
    const runId = randomUUID()
    const payload = await doing(() => {
      throw Object.assign(new Error('not yet'), { code: 'E_BUSY' })
    })
    for (const [number, least, most] of [
      [1, 30_000, 60_000],
      [2, 60_000, 120_000],
    ] as const) {
      const result = await attempt(plain, payload, { runId, attempt: number })
      expect(result).toMatchObject({ ok: false, skippedRetrying: false })
      const delay = result.ok ? 0 : result.retry!.delay
      expect(delay).toBeGreaterThanOrEqual(least)
      expect(delay).toBeLessThanOrEqual(most)
      expect(errorOf(result)).toEqual({ name: 'Error', code: 'E_BUSY', message: 'not yet' })
    }
    const last = await attempt(plain, payload, { runId, attempt: 3 })
    expect(last).toMatchObject({ ok: false, skippedRetrying: true })
    expect(last).not.toHaveProperty('retry.delay')
    const row = {
      taskId: plain.id,
      tenantId: payload.tenantId,
      code: 'E_BUSY',
      message: 'not yet',
      inOrder: true,
      byTrigger: true,
    }
    expect(await recorded(runId)).toEqual([
      { attempt: 1, result: 'retry', ...row },
      { attempt: 2, result: 'retry', ...row },
      { attempt: 3, result: 'failed', ...row },
    ])
  })

  test('a run with attempts of its own leaves the others those of the rule (T20)', async () => {
    const payload = await doing(() => {
      throw new Error('no')
    })
    expect(retries(await attempt(plain, payload, { maxAttempts: 1 }))).toBe(false)
    expect(retries(await attempt(plain, payload))).toBe(true)
    expect(retries(await attempt(plain, payload, { attempt: 4, maxAttempts: 5 }))).toBe(true)
    expect(retries(await attempt(plain, payload, { attempt: 3 }))).toBe(false)
  })

  test('AbortTaskError: no attempt follows, and its code and message are kept', async () => {
    const runId = randomUUID()
    const payload = await doing(() => {
      throw new AbortTaskError('hopeless')
    })
    const result = await attempt(plain, payload, { runId })
    expect(retries(result)).toBe(false)
    expect(errorOf(result)).toEqual({ name: 'AbortTaskError', code: 'TASK_ABORTED', message: 'hopeless' })
    expect(await recorded(runId)).toMatchObject([{ attempt: 1, result: 'failed', code: 'TASK_ABORTED' }])
  })

  test.each([
    ['of another shape', { text: 5 }, 'PAYLOAD_INVALID', 'text'],
    ['with a key too many', { text: 'x', more: 1 }, 'PAYLOAD_INVALID', 'more'],
    ['without a tenant', { text: 'x', tenantId: undefined }, 'PAYLOAD_INVALID', 'tenantId'],
    ['of an unknown tenant', { text: 'x', tenantId: 'nobody_here' }, 'TENANT_UNKNOWN', 'nobody_here'],
    ['that is no object', 'text', 'PAYLOAD_INVALID', 'deployed/echo'],
  ])('a payload %s: one attempt, and our error', async (_, payload, code, named) => {
    const runId = randomUUID()
    const own = typeof payload === 'string' ? payload : { tenantId: await kit.tenant(), ...payload }
    const result = await attempt(echo, own, { runId })
    expect(retries(result)).toBe(false)
    expect(errorOf(result)).toMatchObject({ code, message: expect.stringContaining(named) })
    expect(await recorded(runId)).toMatchObject([{ attempt: 1, result: 'failed', code }])
  })

  test('a timeout of ours aborts the signal and is retried by the rule', async () => {
    const runId = randomUUID()
    const payload = await doing(({ signal }) => ended(signal))
    const result = await attempt(brief, payload, { runId })
    expect(retries(result)).toBe(true)
    expect(errorOf(result)).toMatchObject({ code: 'RUN_TIMEOUT' })
    expect(await recorded(runId)).toMatchObject([{ result: 'retry', code: 'RUN_TIMEOUT' }])
  })

  test('a cancel aborts the signal with our reason; nothing is recorded', async () => {
    const runId = randomUUID()
    const cancel = new AbortController()
    const reasons: unknown[] = []
    const payload = await doing(async ({ signal }) => {
      setTimeout(() => cancel.abort('run was cancelled'), 10)
      await ended(signal).catch((reason) => {
        reasons.push(reason)
        throw new Error('the echo of the abort')
      })
    })
    const result = await attempt(plain, payload, { runId, signal: cancel.signal })
    expect(reasons).toEqual([expect.any(RunCancelledError)])
    expect(retries(result)).toBe(false)
    expect(errorOf(result)).toMatchObject({ code: 'RUN_CANCELLED' })
    expect(await recorded(runId)).toEqual([])
  })

  test.each([
    ['undefined', () => undefined],
    ['a string', () => 'just text'],
    ['a proxy that refuses everything', () => Proxy.revocable({}, {}).proxy],
    ['an error of ten megabytes', () => new Error('x'.repeat(10_000_000))],
  ])('throwing %s fails the attempt and nothing else', async (_, thrown) => {
    const payload = await doing(() => {
      throw thrown()
    })
    const result = await attempt(plain, payload)
    expect(retries(result)).toBe(true)
    expect(errorOf(result).message.length).toBeLessThan(5_000)
  })
})

test('many attempts at once do not mix', async () => {
  platform.onWait = over
  const results = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      let calls = 0
      const payload = await doing(({ runId }) => {
        calls += 1
        if (calls === 1) snooze('1m')
        return { n, runId }
      })
      const runId = randomUUID()
      const result = await attempt(plain, payload, { runId, triggerRunId: `run_many_${n}` })
      return { n, runId, output: await outputOf(result) }
    }),
  )
  for (const { n, runId, output } of results) expect(output).toEqual({ n, runId })
  const asked = platform.waits.map(({ triggerRunId }) => triggerRunId)
  expect(new Set(asked).size).toBe(20)
})
