/** GET /metrics: for whom, and that it is what Prometheus reads. */
import { beforeAll, expect, test } from 'vitest'
import { recordSettled } from '../../src/telemetry/settled.ts'
import { app, keyText, kit, onPlatform } from './api/kit.ts'
import { account, signIn } from './api/people.ts'

onPlatform({ tasks: [] })

let prometheus: Record<string, string>
beforeAll(async () => {
  prometheus = { authorization: `Bearer ${await keyText(null, ['metrics:read'])}` }
})

test('figures since the first question, the same for all apps of the process', async () => {
  const ask = async () => await app.request('/metrics', { headers: prometheus })
  await ask()
  recordSettled({ taskId: 'orders/process-order', tenantId: 'rawdog', outcome: 'completed' })
  const response = await ask()
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect((await response.text()).split('\n')).toContain(
    'cgk_runs_ended_total{cgk_task_id="orders/process-order",cgk_outcome="completed"} 1',
  )
})

test('not for nobody, not for a tenant, and not for a key that may something else', async () => {
  const tenantId = await kit.tenant()
  const status = async (headers: Record<string, string>) =>
    (await app.request('/metrics', { headers })).status
  expect(await status({})).toBe(401)
  expect(await status({ authorization: 'Basic cHJvbTpzZWNyZXQ=' })).toBe(400)
  const owner = await signIn(await account({ membership: { tenantId, role: 'owner' } }))
  expect(await status({ cookie: owner.cookie })).toBe(403)
  expect(await status({ authorization: `Bearer ${await keyText(tenantId, ['runs:read'])}` })).toBe(403)
  expect(await status({ authorization: `Bearer ${await keyText(null, ['runs:read'])}` })).toBe(403)
  const operator = await signIn(await account({ operator: true }))
  expect(await status({ cookie: operator.cookie })).toBe(200)
})
