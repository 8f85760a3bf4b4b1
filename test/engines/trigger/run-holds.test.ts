import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { resumeTenant, suspendTenant } from '../../../src/default-platform.ts'
import { readWaitingNote } from '../../../src/engines/trigger/waiting-note.ts'
import type { AskedWait } from '../../fixtures/trigger/waits.ts'
import {
  asksMux,
  attempt,
  doing,
  giveMux,
  kit,
  onExecutor,
  outputOf,
  over,
  plain,
  platform,
  recorded,
  turnstile,
} from './run-kit.ts'

onExecutor()

describe('a run that is held waits in the same attempt', () => {
  test('until its tenant has the credential', async () => {
    const runId = randomUUID()
    const payload = await doing(({ attempt }) => attempt)
    platform.onWait = async (wait) => {
      if (platform.waits.length === 2) await giveMux(payload.tenantId)
      over(wait)
    }
    const result = await attempt(asksMux, payload, { runId, triggerRunId: 'run_held' })
    expect(await outputOf(result)).toBe(1)
    expect(await recorded(runId)).toEqual([])
    expect(readWaitingNote(platform.told[0])).toMatchObject({
      state: 'held',
      by: 'mux',
      reason: { code: 'SERVICE_NOT_CONFIGURED' },
      until: null,
    })
    expect(platform.waits.length).toBe(2)
    // It looks again, ever more seldom.
    expect(platform.waits[1]!.ms).toBeGreaterThan(platform.waits[0]!.ms * 1.2)
  })

  test('a refused credential: other runs of the tenant do not ask with it', async () => {
    const [first, second] = [await doing(() => 'done'), await doing(() => 'done')]
    second.tenantId = first.tenantId
    const secret = await giveMux(first.tenantId)
    turnstile.accepted.delete(secret)
    const held: AskedWait[] = []
    platform.onWait = (wait) => void held.push(wait)
    const one = attempt(asksMux, first)
    await expect.poll(() => held.length).toBe(1)
    const other = attempt(asksMux, second)
    await expect.poll(() => held.length).toBe(2)
    expect(turnstile.asked(secret)).toBe(1)
    await giveMux(first.tenantId)
    platform.onWait = over
    held.forEach(over)
    expect([await outputOf(await one), await outputOf(await other)]).toEqual(['done', 'done'])
  })

  test('a hold that another process has placed is seen before anything is sent', async () => {
    const payload = await doing(() => 'done')
    const secret = await giveMux(payload.tenantId)
    const { database } = await kit.platform.ready()
    await database.query(
      `INSERT INTO public.platform_holds (tenant_id, service, reason, code, message)
       VALUES ($1, 'mux', 'refused', 'unauthorized', 'No')`,
      [payload.tenantId],
    )
    platform.onWait = async (wait) => {
      expect(turnstile.asked(secret)).toBe(0)
      await database.query('DELETE FROM public.platform_holds WHERE tenant_id = $1', [payload.tenantId])
      over(wait)
    }
    expect(await outputOf(await attempt(asksMux, payload))).toBe('done')
    expect(platform.waits).toHaveLength(1)
  })

  test('a suspended tenant: until it is resumed', async () => {
    const payload = await doing(() => 'done')
    await suspendTenant(payload.tenantId)
    platform.onWait = async (wait) => {
      if (platform.waits.length === 2) await resumeTenant(payload.tenantId)
      over(wait)
    }
    expect(await outputOf(await attempt(plain, payload))).toBe('done')
    expect(readWaitingNote(platform.told[0])).toMatchObject({ state: 'held', by: 'tenant' })
    expect(platform.waits).toHaveLength(2)
  })

  test('a provider that asks to wait: not before its time', async () => {
    const payload = await doing(() => 'done')
    const secret = await giveMux(payload.tenantId)
    turnstile.answerNext({ status: 429, headers: { 'retry-after': '3600' }, body: {} })
    platform.onWait = async (wait) => {
      const { database } = await kit.platform.ready()
      await database.query('DELETE FROM public.platform_holds WHERE tenant_id = $1', [payload.tenantId])
      over(wait)
    }
    expect(await outputOf(await attempt(asksMux, payload))).toBe('done')
    // It looks again meanwhile: the hold may be lifted.
    expect(platform.waits[0]!.ms).toBeGreaterThan(110_000)
    expect(turnstile.asked(secret)).toBe(2)
  })
})
