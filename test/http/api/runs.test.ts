import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { keyOf, kit, nobody, onPlatform, userOf } from './kit.ts'

const note = defineTask({ id: 'api/note', payload: tenantPayload({}), run: () => 'done' })

onPlatform({ tasks: [note] })

describe('POST /runs/:id/cancel', () => {
  test('ends an open run, once', async () => {
    const tenantId = await kit.tenant()
    const { id } = await note.trigger({ tenantId }, { delay: '1h' })
    const key = await keyOf(tenantId, ['runs:read', 'runs:cancel'])
    expect(await key.post(`/runs/${id}/cancel`)).toMatchObject({ status: 200, body: { cancelled: true } })
    expect(await key.post(`/runs/${id}/cancel`)).toMatchObject({ status: 200, body: { cancelled: false } })
  })

  test('is not for everybody', async () => {
    const [tenantId, neighbour] = [await kit.tenant(), await kit.tenant()]
    const { id } = await note.trigger({ tenantId }, { delay: '1h' })
    const path = `/runs/${id}/cancel`
    expect(await nobody.post(path)).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } })
    expect(await (await userOf('member', tenantId)).post(path)).toMatchObject({ status: 403 })
    expect(await (await keyOf(tenantId, ['runs:read'])).post(path)).toMatchObject({ status: 403 })
    for (const stranger of [
      await userOf('owner', neighbour),
      await keyOf(neighbour, ['runs:read', 'runs:cancel']),
    ]) {
      expect(await stranger.post(path)).toMatchObject({ status: 404, body: { code: 'RUN_UNKNOWN' } })
    }
    const admin = await userOf('admin', tenantId)
    expect(await admin.post(`/runs/${randomUUID()}/cancel`)).toMatchObject({ status: 404 })
    expect(await admin.post('/runs/nonsense/cancel')).toMatchObject({
      status: 400,
      body: { code: 'REQUEST_INVALID', issues: [{ path: 'runId' }] },
    })
    expect(await admin.post(path)).toMatchObject({ status: 200 })
  })
})
