import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createLogger } from '../../../src/log.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { Turnstile } from '../../fixtures/providers/turnstile.ts'
import { type Answer, type Caller, keyOf, kit, onPlatform, userOf } from './kit.ts'
import { recorded } from './people.ts'

const needsMux = defineTask({
  id: 'api/needs-mux',
  payload: tenantPayload({}),
  services: ['mux'],
  run: async (_, { clients }) => void (await clients.mux.video.assets.list({ limit: 1 })),
})

const turnstile = await new Turnstile().listen()
const logged: string[] = []
/** All that was answered. */
const told: string[] = []

onPlatform({
  tasks: [needsMux],
  logger: createLogger('trace', { write: (line) => void logged.push(line) }),
  services: { mux: { baseUrl: turnstile.url } },
})

let tenantId: string
let path: string
let owner: Caller
beforeEach(async () => {
  tenantId = await kit.tenant()
  path = `/tenants/${tenantId}/credentials`
  owner = listening(await userOf('owner', tenantId))
})
afterEach(() => turnstile.calm())
afterAll(() => turnstile.close())

function listening(caller: Caller): Caller {
  const heard = async (asked: Promise<Answer>) => {
    const answer = await asked
    told.push(JSON.stringify([answer.body, ...answer.headers]))
    return answer
  }
  return {
    get: (...args) => heard(caller.get(...args)),
    post: (...args) => heard(caller.post(...args)),
    put: (...args) => heard(caller.put(...args)),
    patch: (...args) => heard(caller.patch(...args)),
    delete: (...args) => heard(caller.delete(...args)),
  }
}

function newSecret({ taken = true } = {}): string {
  const secret = `canary-${randomBytes(12).toString('hex')}`
  if (taken) turnstile.accepted.add(secret)
  return secret
}

test('set, listed, checked and deleted; what is held for want of it goes on', async () => {
  await needsMux.trigger({ tenantId })
  await kit.drain()
  expect((await owner.get(`/holds?tenant=${tenantId}`)).body.holds).toMatchObject([
    { tenantId, service: 'mux', reason: 'not_configured', until: null, lifted: false, runs: 1 },
  ])
  const secret = newSecret()
  expect(await owner.put(`${path}/mux`, { token_id: 'the-id', token_secret: secret })).toMatchObject({
    status: 204,
  })
  expect(await recorded('credential.set')).toMatchObject({
    tenantId,
    subject: 'mux',
    details: { keys: 'token_id, token_secret' },
  })
  await kit.drain()
  expect((await owner.get(`/runs?tenant=${tenantId}`)).body.runs).toMatchObject([{ state: 'completed' }])
  const { holds } = (await owner.get(`/holds?tenant=${tenantId}`)).body
  expect(holds.filter((hold: { lifted: boolean; runs: number }) => !hold.lifted || hold.runs > 0)).toEqual([])

  expect((await owner.get(path)).body.credentials).toMatchObject([
    { service: 'mux', key: 'token_id', status: 'active', lastFour: null },
    { service: 'mux', key: 'token_secret', status: 'active', lastFour: secret.slice(-4) },
  ])
  expect(await owner.post(`${path}/mux/verify`)).toMatchObject({
    status: 200,
    body: { tenantId, service: 'mux', result: 'valid', error: null },
  })
  expect(await recorded('credential.verify')).toMatchObject({ tenantId, details: { result: 'valid' } })

  expect(await owner.delete(`${path}/mux/token_secret`)).toMatchObject({
    status: 200,
    body: { deleted: true },
  })
  expect(await recorded('credential.delete')).toMatchObject({ tenantId, subject: 'mux' })
  expect(await owner.delete(`${path}/mux/token_secret`)).toMatchObject({ body: { deleted: false } })
  expect(await owner.post(`${path}/mux/verify`)).toMatchObject({
    status: 409,
    body: { code: 'SERVICE_NOT_CONFIGURED' },
  })
})

test('one that the provider refuses is said to be invalid', async () => {
  const secret = newSecret({ taken: false })
  await owner.put(`${path}/mux`, { token_id: 'the-id', token_secret: secret })
  expect(await owner.post(`${path}/mux/verify`)).toMatchObject({
    status: 200,
    body: { result: 'refused', error: { code: expect.any(String) } },
  })
  expect((await owner.get(path)).body.credentials).toMatchObject([
    { status: 'invalid' },
    { status: 'invalid' },
  ])
})

test('what cannot be one is refused, and nothing is stored', async () => {
  const secret = newSecret()
  for (const [body, status, code] of [
    [{}, 422, 'CREDENTIAL_INVALID'],
    [{ api_key: secret }, 422, 'CREDENTIAL_INVALID'],
    [{ token_id: 'fine', token_secret: `${secret}\0` }, 422, 'CREDENTIAL_INVALID'],
    [{ token_secret: { value: secret } }, 400, 'REQUEST_INVALID'],
    [[secret], 400, 'REQUEST_INVALID'],
    [`{"token_secret":"${secret}`, 400, 'BODY_UNREADABLE'],
  ] as const) {
    expect(await owner.put(`${path}/mux`, body)).toMatchObject({ status, body: { code } })
  }
  expect(await owner.put(`${path}/paypal`, { key: secret })).toMatchObject({ status: 400 })
  expect((await owner.get(path)).body).toEqual({ credentials: [] })
})

test('of a suspended tenant as well; of one that is another’s, nothing', async () => {
  const operator = await userOf('operator')
  await operator.post(`/tenants/${tenantId}/suspend`, { reason: 'a test' })
  expect(await operator.put(`${path}/mux`, { token_id: 'the-id' })).toMatchObject({ status: 204 })
  const stranger = await keyOf(await kit.tenant(), ['credentials:read', 'credentials:write', 'runs:read'])
  expect(await stranger.get(path)).toMatchObject({ status: 404, body: { code: 'TENANT_UNKNOWN' } })
  expect(await stranger.get(`/holds?tenant=${tenantId}`)).toMatchObject({ status: 404 })
})

describe('no value', () => {
  test('is in an answer, a line of the log or an entry of the audit log', async () => {
    const operator = listening(await userOf('operator'))
    const secret = newSecret()
    await operator.put(`${path}/mux`, { token_id: secret, token_secret: secret })
    turnstile.answerNext({ status: 401, body: { error: { messages: [`Bad key ${secret}`] } } })
    await operator.post(`${path}/mux/verify`)
    await operator.get(path)
    await operator.get(`/holds?tenant=${tenantId}`)
    await operator.get('/audit?limit=1000')
    await operator.put(`${path}/mux`, `{"token_secret": "${secret}" oops}`)
    await operator.put(`${path}/mux`, { token_secret: [secret] })
    await operator.put(`${path}/stripe`, { secret_key: secret })
    const { entries } = await kit.platform.audit.list({ limit: 1_000 })
    expect(told.length).toBeGreaterThan(20)
    expect([...told, ...logged, JSON.stringify(entries)].filter((text) => text.includes('canary-'))).toEqual(
      [],
    )
  })
})
