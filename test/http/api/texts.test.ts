/** Texts that Postgres cannot keep are the caller's mistake wherever they come, and never ours. */
import { beforeAll, expect, test } from 'vitest'
import { z } from 'zod'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { type Caller, kit, nobody, onPlatform, userOf } from './kit.ts'

const task = defineTask({
  id: 'api/texts',
  payload: tenantPayload({ note: z.string() }),
  schedules: [{ cron: '0 3 * * *', payload: { note: 'x' } }],
  run: () => 'done',
})

onPlatform({ tasks: [task] })

let tenantId: string
let operator: Caller
beforeAll(async () => {
  tenantId = await kit.tenant()
  operator = await userOf('operator')
})

interface Parameter {
  name: string
  in: 'query' | 'path'
  schema: { type?: string }
}

test('in a query', async () => {
  const { paths } = (await nobody.get('/openapi.json')).body
  const asked: string[] = []
  for (const [path, { get }] of Object.entries<{ get?: { parameters?: Parameter[] } }>(paths)) {
    const inQuery = get?.parameters?.filter((one) => one.in === 'query' && one.schema.type === 'string') ?? []
    const at = path
      .replace('{tenantId}', tenantId)
      .replaceAll(/\{\w+\}/g, '00000000-0000-4000-8000-000000000000')
    asked.push(...inQuery.map(({ name }) => `${at}?${name}=%00`))
  }
  expect(asked.length).toBeGreaterThan(15)
  for (const path of asked) expect((await operator.get(path)).status, path).toBeOneOf([200, 400, 403, 404])
})

test('in a path', async () => {
  const schedule = `/tenants/${tenantId}/schedules/api%2Ftexts%00%3Adefault`
  for (const answer of [
    await operator.delete(schedule),
    await operator.put(schedule, {}),
    await operator.delete(`/tenants/${tenantId}/credentials/mux/%00`),
  ]) {
    expect(answer.status).toBeOneOf([400, 404, 422])
  }
})

test.each(['a\0b', 'half \ud83d of it'])('in a body: %j', async (text) => {
  const schedule = `/tenants/${tenantId}/schedules/api%2Ftexts`
  for (const answer of [
    await operator.post('/tenants', { slug: 'texts', name: text }),
    await operator.patch(`/tenants/${tenantId}`, { name: text }),
    await operator.post(`/tenants/${tenantId}/suspend`, { reason: text }),
    await operator.delete(`/tenants/${tenantId}`, { reason: text }),
    await operator.put(schedule, { payload: { note: text } }),
    await operator.put(schedule, { cron: text }),
    await operator.put(schedule, { timezone: text }),
    await operator.post('/users', { email: `${text}@x.test`, password: 'a horse on the moon' }),
    await operator.post('/users', { email: 'texts@x.test', password: 'a horse on the moon', name: text }),
    await operator.post('/keys', { name: text, scopes: ['runs:read'] }),
    await operator.post(`/tenants/${tenantId}/invitations`, { email: `${text}@x.test`, role: 'member' }),
    await operator.put(`/tenants/${tenantId}/credentials/mux`, { [text]: 'x' }),
    await nobody.post('/session', { email: text, password: text }),
    await nobody.post('/invitations/accept', { token: text }),
  ]) {
    expect(answer.status).toBeOneOf([400, 401, 422])
  }
  const run = await operator.post(`${schedule}/run`, { invocation: text })
  expect(run.status).toBeOneOf([200, 400])
  expect((await operator.get(`/tenants/${tenantId}`)).body.status).toBe('active')
})
