import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { runs } from '../../../src/default-platform.ts'
import { AbortTaskError, ContextEndedError, RunTimeoutError } from '../../../src/errors.ts'
import { aborted, brief, doing, echo, gate, kit, olderEcho, plain, stateOf } from './kit.ts'

export function failing(): void {
  describe('failing', () => {
    test('a failed attempt is recorded and tried again by the rule', async () => {
      const tenantId = await kit.tenant()
      const keys: string[] = []
      const { id } = await plain.trigger({
        tenantId,
        ...doing(({ attempt, idempotencyKey }) => {
          keys.push(idempotencyKey('call'))
          if (attempt === 1) throw Object.assign(new Error('not yet'), { code: 'E_BUSY' })
          return attempt
        }),
      })
      expect(await kit.drain()).toEqual({ completed: 0, failed: 0, cancelled: 0, expired: 0 })

      const waiting = await runs.get(id)
      expect(waiting).toMatchObject({ state: 'retrying', attempt: 1, error: { message: 'not yet' } })
      await kit.advance('29s') // The rule's first delay is a minute, with jitter at least half of it.
      await kit.drain()
      expect(await stateOf({ id })).toBe('retrying')

      await kit.advance('31s')
      await kit.drain()

      const run = await runs.get(id)
      expect(run).toMatchObject({ state: 'completed', attempt: 2, output: 2, error: null })
      expect(run.attempts).toMatchObject([
        { attempt: 1, result: 'retry', error: { name: 'Error', code: 'E_BUSY', message: 'not yet' } },
      ])
      expect(run.attempts[0]!.worker).toEqual(expect.any(String))
      expect(run.attempts[0]!.startedAt).toBeInstanceOf(Date)
      expect(keys).toEqual([`${id}:call`, `${id}:call`])
    })

    test('the run fails when its attempts are spent', async () => {
      const tenantId = await kit.tenant()
      const act = doing(({ attempt }) => {
        throw new Error(`no ${attempt}`)
      })
      const run = await plain.trigger({ tenantId, ...act })
      const once = await plain.trigger({ tenantId, ...act }, { maxAttempts: 1 })
      for (let round = 0; round < 4; round += 1) {
        await kit.drain()
        await kit.advance('1h')
      }
      expect(await runs.get(run.id)).toMatchObject({
        state: 'failed',
        attempt: 3,
        maxAttempts: 3,
        output: null,
        error: { message: 'no 3' },
        finishedAt: expect.any(Date),
        attempts: [
          { attempt: 1, result: 'retry', error: { message: 'no 1' } },
          { attempt: 2, result: 'retry', error: { message: 'no 2' } },
          { attempt: 3, result: 'failed', error: { message: 'no 3' } },
        ],
      })
      expect(await runs.get(once.id)).toMatchObject({
        state: 'failed',
        attempt: 1,
        attempts: [{ result: 'failed' }],
      })
    })

    test('AbortTaskError fails the run at once', async () => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({
        tenantId,
        ...doing(() => {
          throw new AbortTaskError('hopeless')
        }),
      })
      expect((await kit.drain()).failed).toBe(1)
      expect(await runs.get(id)).toMatchObject({
        state: 'failed',
        attempt: 1,
        error: { code: 'TASK_ABORTED', message: 'hopeless' },
      })
    })

    test('a payload of an older definition fails the run at once, with its issues', async () => {
      const tenantId = await kit.tenant()
      const { id } = await olderEcho.trigger({ tenantId, text: 5 })
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({
        state: 'failed',
        attempt: 1,
        error: { code: 'PAYLOAD_INVALID', message: expect.stringContaining('text') },
      })
      const fine = await echo.trigger({ tenantId, text: 'x' })
      await kit.drain()
      expect(await stateOf(fine)).toBe('completed')
    })

    test('a timeout aborts the signal and counts as a failed attempt', async () => {
      const tenantId = await kit.tenant()
      const reasons: unknown[] = []
      const { id } = await brief.trigger({
        tenantId,
        ...doing(async ({ signal, attempt }) => {
          if (attempt === 2) return 'in time'
          reasons.push(await aborted(signal))
          throw new Error('the echo of the abort')
        }),
      })
      await kit.drain()
      expect(reasons).toEqual([expect.any(RunTimeoutError)])
      expect(await runs.get(id)).toMatchObject({ state: 'retrying', error: { code: 'RUN_TIMEOUT' } })
      await kit.advance('1h')
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({
        state: 'completed',
        output: 'in time',
        attempts: [{ attempt: 1, result: 'retry', error: { code: 'RUN_TIMEOUT' } }],
      })
    })

    test('a run that ignores its signal is left behind, and its database is closed to it', async () => {
      const tenantId = await kit.tenant()
      const late = gate<unknown>()
      const { id } = await brief.trigger(
        {
          tenantId,
          ...doing(async ({ sql }) => {
            await sleep(5_500)
            late.resolve(await sql`SELECT 1`.catch((error: unknown) => error))
          }),
        },
        { maxAttempts: 1 },
      )
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'failed', error: { code: 'RUN_TIMEOUT' } })
      expect(await late.promise).toBeInstanceOf(ContextEndedError)
    })

    const unspeakable: [name: string, thrown: () => unknown, message: unknown][] = [
      ['undefined', () => undefined, 'null'],
      ['a string', () => 'just text', 'just text'],
      ['a number', () => 7, '7'],
      ['a symbol', () => Symbol('s'), expect.any(String)],
      ['an error with a NUL in its message', () => new Error('a\0b'), 'a\u{FFFD}b'],
      ['an error with a lone surrogate', () => new Error('a\u{d800}b'), 'a\u{FFFD}b'],
      ['a circular object', circular, expect.stringContaining('[Circular]')],
      ['an object with a BigInt', () => ({ n: 10n }), '{"n":"10"}'],
      [
        'an error of ten megabytes',
        () => new Error('x'.repeat(10_000_000)),
        expect.stringMatching(/^x{4000}…$/),
      ],
      ['an error whose message throws', hostileError, expect.any(String)],
      ['a proxy that refuses everything', hostileProxy, expect.any(String)],
    ]
    test.each(unspeakable)('throwing %s fails the run and nothing else', async (_name, thrown, message) => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger(
        {
          tenantId,
          ...doing(() => {
            throw thrown()
          }),
        },
        { maxAttempts: 1 },
      )
      await kit.drain()
      expect(await runs.get(id)).toMatchObject({ state: 'failed', error: { message } })
    })

    const unstorable: [name: string, output: () => unknown, kept: unknown][] = [
      ['undefined', () => undefined, null],
      ['a string', () => 'text', 'text'],
      ['a string with NUL', () => ({ text: 'a\0b', 'k\0': 1 }), { text: 'a\u{FFFD}b', 'k\u{FFFD}': 1 }],
      ['a lone surrogate', () => '\u{dfff}', '\u{FFFD}'],
      ['an invalid Date', () => ({ at: new Date(Number.NaN) }), { at: null }],
      ['a BigInt', () => [10n], ['10']],
      ['a circular object', circular, expect.anything()],
      [
        'a huge object',
        () => 'x'.repeat(5_000_000),
        { truncated: true, bytes: 5_000_002, start: expect.any(String) },
      ],
      ['a function', () => () => 1, null],
      ['an error', () => new Error('kept'), expect.objectContaining({ message: 'kept' })],
      ['an object whose toJSON throws', hostileJson, expect.objectContaining({ unstorable: true })],
      ['an object with a getter that throws', hostileGetter, expect.objectContaining({ unstorable: true })],
    ]
    test.each(unstorable)('returning %s completes the run', async (_name, output, kept) => {
      const tenantId = await kit.tenant()
      const { id } = await plain.trigger({ tenantId, ...doing(output) })
      await kit.drain()
      const run = await runs.get(id)
      expect(run.state).toBe('completed')
      expect(run.output).toEqual(kept)
    })
  })
}

function circular(): object {
  const loop: Record<string, unknown> = { name: 'loop' }
  loop.self = loop
  return loop
}

function hostileError(): Error {
  return Object.defineProperty(new Error(), 'message', {
    get: () => {
      throw new Error('from the getter')
    },
  })
}

function hostileGetter(): object {
  return {
    get no() {
      throw new Error('no')
    },
  }
}

function hostileJson(): object {
  return {
    toJSON: () => {
      throw new Error('no')
    },
  }
}

function hostileProxy(): object {
  const refuse = () => {
    throw new Error('refused')
  }
  return new Proxy(
    {},
    { get: refuse, getPrototypeOf: refuse, ownKeys: refuse, has: refuse, getOwnPropertyDescriptor: refuse },
  )
}
