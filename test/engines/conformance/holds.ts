import { describe, expect, test } from 'vitest'
import {
  deleteCredential,
  listCredentials,
  runs,
  setCredential,
  verifyCredential,
} from '../../../src/default-platform.ts'
import { asksMux, asksMuxLimited, doing, giveMux, kit, plain, stateOf, turnstile, work } from './kit.ts'

const once = { status: 500, body: { error: { type: 'internal', messages: ['Oops'] } } }

/** What each of the runs is, in order. */
async function statesOf(handles: readonly { id: string }[]): Promise<string[]> {
  return await Promise.all(handles.map(stateOf))
}

async function triggerMany(task: typeof asksMux | typeof asksMuxLimited, tenantId: string, count: number) {
  return await task.batchTrigger(Array.from({ length: count }, () => ({ payload: { tenantId } })))
}

const held = async (tenantId: string) => (await (await kit.platform.ready()).holds.list(tenantId))[0]

export function holds(): void {
  describe('services', () => {
    test("a run gets its tenant's client", async () => {
      const tenantId = await kit.tenant()
      const secret = await giveMux(tenantId)
      const run = await asksMux.trigger({ tenantId })
      await kit.drain()
      expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1 })
      expect(turnstile.asked(secret)).toBe(1)
    })

    test('what ended says which version of the credential it worked with', async () => {
      const tenantId = await kit.tenant()
      const versions: unknown[] = []
      for (let times = 0; times < 2; times += 1) {
        await giveMux(tenantId)
        const { id } = await asksMux.trigger({ tenantId })
        await kit.drain()
        const { credentials } = await runs.get(id)
        expect(credentials).toEqual({ mux: expect.stringMatching(/^[\w-]{43}$/) })
        versions.push(credentials.mux)
      }
      expect(versions[0]).not.toBe(versions[1])
    })

    test('a run whose tenant has no credential is held until it is there', async () => {
      const tenantId = await kit.tenant()
      const [run, free] = [
        await asksMux.trigger({ tenantId }),
        await plain.trigger({ tenantId, ...doing(() => null) }),
      ]
      await kit.drain()
      expect(await statesOf([run, free])).toEqual(['held', 'completed'])
      expect(await runs.get(run.id)).toMatchObject({ attempt: 0, attempts: [] })
      expect(await held(tenantId)).toMatchObject({ service: 'mux', reason: 'not_configured', until: null })

      // Half of it does not help.
      await setCredential(tenantId, 'mux', { token_id: 'token-of-the-test' })
      await kit.drain()
      expect(await stateOf(run)).toBe('held')
      await giveMux(tenantId)
      await kit.drain()
      expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1, attempts: [] })
    })

    test("a refused credential holds its tenant's runs of that service, and no others", async () => {
      const [tenantId, neighbour] = [await kit.tenant(), await kit.tenant()]
      const [secret, fine] = [await giveMux(tenantId), await giveMux(neighbour)]
      turnstile.accepted.delete(secret)
      const waiting = [
        ...(await triggerMany(asksMux, tenantId, 30)),
        ...(await triggerMany(asksMuxLimited, tenantId, 30)),
      ]
      const free = [
        ...(await triggerMany(asksMux, neighbour, 10)),
        await plain.trigger({ tenantId, ...doing(() => null) }),
      ]
      await kit.drain({ concurrency: 4 })
      expect(new Set(await statesOf(waiting))).toEqual(new Set(['held']))
      expect(new Set(await statesOf(free))).toEqual(new Set(['completed']))
      expect(turnstile.asked(fine)).toBe(10)
      // Those in flight, and nobody after them.
      expect(turnstile.asked(secret)).toBeLessThanOrEqual(4)
      expect(await runs.get(waiting.at(-1)!.id)).toMatchObject({ attempt: 0, attempts: [] })
      expect(await held(tenantId)).toMatchObject({ reason: 'refused', code: 'unauthorized', lifted: false })
      const { holds, engine } = await kit.platform.ready()
      expect(await holds.list(neighbour)).toEqual([])
      expect(await engine.countHeld(tenantId, 'mux')).toBe(60)
      expect(await listCredentials(tenantId)).toMatchObject([
        { key: 'token_id', status: 'invalid' },
        { key: 'token_secret', status: 'invalid', lastError: 'unauthorized: Unauthorized request' },
      ])

      // Time alone changes nothing, and what comes now waits as well.
      await kit.advance('1d')
      const late = await asksMux.trigger({ tenantId })
      await kit.drain()
      expect(await statesOf([waiting[0]!, late])).toEqual(['held', 'held'])

      await giveMux(tenantId)
      await kit.drain()
      expect(new Set(await statesOf([...waiting, late]))).toEqual(new Set(['completed']))
      expect(await runs.get(waiting[0]!.id)).toMatchObject({ attempt: 1, attempts: [] })
      expect(await listCredentials(tenantId)).toMatchObject([{ status: 'active' }, { status: 'active' }])
    })

    test('a credential that is good again is found good by verifying it', async () => {
      const tenantId = await kit.tenant()
      const secret = await giveMux(tenantId)
      turnstile.accepted.delete(secret)
      const run = await asksMux.trigger({ tenantId })
      await kit.drain()
      expect(await verifyCredential(tenantId, 'mux')).toMatchObject({
        result: 'refused',
        error: { code: 'unauthorized' },
      })
      await kit.drain()
      expect(await stateOf(run)).toBe('held')

      turnstile.accepted.add(secret)
      expect(await verifyCredential(tenantId, 'mux')).toEqual({
        tenantId,
        service: 'mux',
        result: 'valid',
        error: null,
      })
      await kit.drain()
      expect(await stateOf(run)).toBe('completed')
      expect(await listCredentials(tenantId)).toMatchObject([
        { status: 'active', lastError: null, lastVerifiedAt: expect.any(Date) },
        { status: 'active' },
      ])
    })

    test('a provider that asks to wait is not asked before the time is over', async () => {
      const tenantId = await kit.tenant()
      const secret = await giveMux(tenantId)
      turnstile.answerNext({ status: 429, headers: { 'retry-after': '120' }, body: {} })
      const first = await triggerMany(asksMux, tenantId, 1)
      await kit.drain()
      const more = await triggerMany(asksMux, tenantId, 20)
      await kit.drain()
      expect(new Set(await statesOf([...first, ...more]))).toEqual(new Set(['held']))
      expect(turnstile.asked(secret)).toBe(1)
      expect(await held(tenantId)).toMatchObject({ reason: 'rate_limited', until: expect.any(Date) })
      // That the credential is taken does not shorten it.
      await verifyCredential(tenantId, 'mux')
      await kit.advance('1m')
      await kit.drain()
      expect(turnstile.asked(secret)).toBe(2)

      await kit.advance('61s')
      await kit.drain()
      expect(new Set(await statesOf([...first, ...more]))).toEqual(new Set(['completed']))
      expect(turnstile.asked(secret)).toBe(23)
      expect(await runs.get(first[0]!.id)).toMatchObject({ attempt: 1, attempts: [] })
    })

    test('a run that had started sends nothing more once its service is held', async () => {
      const tenantId = await kit.tenant()
      const secret = await giveMux(tenantId)
      const again = doing(async ({ clients }) => {
        const { mux } = clients as unknown as Parameters<(typeof asksMux)['run']>[1]['clients']
        turnstile.answerNext({ status: 429, headers: { 'retry-after': '90' }, body: {} })
        await asksMux.triggerAndWait({ tenantId }, { timeout: '100ms' }).catch(() => {})
        await mux.video.assets.list({ limit: 1 })
      })
      const run = await asksMux.trigger({ tenantId, ...again })
      await work()
      await expect.poll(() => stateOf(run), { timeout: 5_000 }).toBe('held')
      expect(turnstile.asked(secret)).toBe(2)
      expect(await runs.get(run.id)).toMatchObject({ attempt: 0, attempts: [] })
    })

    test('what cannot succeed fails at once with the code of the provider; what may is retried', async () => {
      const tenantId = await kit.tenant()
      await giveMux(tenantId)
      const gone = { status: 404, body: { error: { type: 'not_found', messages: ['No such asset'] } } }
      turnstile.answerNext(gone)
      const failed = await asksMux.trigger({ tenantId })
      await kit.drain()
      expect(await runs.get(failed.id)).toMatchObject({
        state: 'failed',
        attempt: 1,
        error: { code: 'not_found' },
      })

      turnstile.answerNext(once)
      const retried = await asksMux.trigger({ tenantId })
      await kit.drain()
      expect(await runs.get(retried.id)).toMatchObject({ state: 'retrying', attempt: 1 })
      await kit.advance('1m')
      await kit.drain()
      expect(await runs.get(retried.id)).toMatchObject({ state: 'completed', output: 2 })
    })

    test('a refusal of a credential that has been replaced meanwhile holds nobody', async () => {
      const tenantId = await kit.tenant()
      const old = await giveMux(tenantId)
      turnstile.answerNext(async () => {
        await giveMux(tenantId)
        return { status: 401, body: {} }
      })
      const run = await asksMux.trigger({ tenantId })
      await kit.drain()
      expect(await runs.get(run.id)).toMatchObject({ state: 'completed', attempt: 1, attempts: [] })
      expect(turnstile.asked(old)).toBe(1)
      expect(await held(tenantId)).toBeUndefined()
    })

    test('a client that was kept over a change of its credential sends nothing; the run comes again', async () => {
      const tenantId = await kit.tenant()
      const old = await giveMux(tenantId)
      let calls = 0
      const keep = doing(async ({ clients }) => {
        const { mux } = clients as unknown as Parameters<(typeof asksMux)['run']>[1]['clients']
        calls += 1
        if (calls === 1) await giveMux(tenantId)
        // Whoever asks next makes the new client, and closes the one before.
        await (await kit.platform.ready()).clients.find(tenantId, 'mux')
        await mux.video.assets.list({ limit: 1 })
        return calls
      })
      const run = await asksMux.trigger({ tenantId, ...keep })
      await kit.drain()
      expect(await runs.get(run.id)).toMatchObject({
        state: 'completed',
        output: 2,
        attempt: 1,
        attempts: [],
      })
      expect(turnstile.asked(old)).toBe(1)
    })

    test('a credential that is deleted holds what needs it; a held run can be cancelled', async () => {
      const tenantId = await kit.tenant()
      await giveMux(tenantId)
      expect(await deleteCredential(tenantId, 'mux', 'token_secret')).toBe(true)
      expect(await deleteCredential(tenantId, 'mux', 'token_secret')).toBe(false)
      const [one, two] = await triggerMany(asksMux, tenantId, 2)
      await kit.drain()
      expect(await statesOf([one!, two!])).toEqual(['held', 'held'])
      expect(await runs.cancel(one!.id)).toBe(true)
      await giveMux(tenantId)
      await kit.drain()
      expect(await statesOf([one!, two!])).toEqual(['cancelled', 'completed'])
      expect((await held(tenantId))?.lifted ?? true).toBe(true)
    })
  })
}
