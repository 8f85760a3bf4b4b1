/**
 * Who may not, for every route there is: nobody, a page of another site, those of the tenant who lack the permission,
 * and another tenant's owner and keys. A route that has no entry in a list of `denials/` fails here.
 */
import { randomUUID } from 'node:crypto'
import { beforeAll, describe, expect, test } from 'vitest'
import { keyScopes, rolePermissions, tenantPermissions } from '../../../src/auth/permissions.ts'
import { AbortTaskError } from '../../../src/errors.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { auditDenials } from './denials/audit.ts'
import { credentialDenials } from './denials/credentials.ts'
import type { Ask, Denial, OpenRoute, Stage } from './denials/denial.ts'
import { failureDenials } from './denials/failures.ts'
import { peopleDenials } from './denials/people.ts'
import { replayDenials } from './denials/replays.ts'
import { runDenials } from './denials/runs.ts'
import { scheduleDenials } from './denials/schedules.ts'
import { sessionDenials } from './denials/session.ts'
import { tenantDenials } from './denials/tenants.ts'
import { type Answer, type Caller, keyOf, kit, nobody, onPlatform, type Person, userOf } from './kit.ts'

const listed: readonly (Denial | OpenRoute)[] = [
  ...runDenials,
  ...failureDenials,
  ...replayDenials,
  ...auditDenials,
  ...sessionDenials,
  ...credentialDenials,
  ...scheduleDenials,
  ...peopleDenials,
  // The last: it ends with the tenant's deletion.
  ...tenantDenials,
]
const denials = listed.filter((one) => 'ask' in one)

/** What a key of a tenant can have at most. */
const scopes = keyScopes.filter((scope) => tenantPermissions.includes(scope))

const denied = defineTask({
  id: 'api/denied',
  payload: tenantPayload({}),
  schedules: [{ cron: '0 3 * * *' }],
  run: () => {
    throw new AbortTaskError('It fails')
  },
})

// Nobody is there: what a provider would say is not what is asked here.
onPlatform({ tasks: [denied], services: { mux: { baseUrl: 'http://127.0.0.1:9', timeoutMs: 100 } } })

let stage: Stage
let operator: Person
let owner: Person
let member: Person
let neighbours: readonly Caller[]
beforeAll(async () => {
  const [own, neighbour] = [await kit.tenant(), await kit.tenant()]
  const { id: failedId } = await denied.trigger({ tenantId: own })
  await kit.drain()
  const { id: runId } = await denied.trigger({ tenantId: own }, { delay: '1h' })
  stage = { own, runId, failedId }
  operator = await userOf('operator')
  owner = await userOf('owner', own)
  member = await userOf('member', own)
  neighbours = [await userOf('owner', neighbour), await keyOf(neighbour, scopes)]
})

test('every route of the document is listed, once, and no other', async () => {
  const { body } = await nobody.get('/openapi.json')
  const routes = Object.entries<object>(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(listed.map(({ route }) => route).sort()).toEqual(routes.sort())
})

function send(caller: Caller, { route }: Denial, { path, body }: Ask): Promise<Answer> {
  const method = route.split(' ')[0]!.toLowerCase() as 'get' | 'post' | 'put' | 'patch' | 'delete'
  return method === 'get' ? caller.get(path) : caller[method](path, body)
}

const as = async (caller: Caller, denial: Denial) => await send(caller, denial, await denial.ask(stage))

describe.each(denials.map((denial) => [denial.route, denial] as const))('%s', (_, denial) => {
  test('nobody has signed in', async () => {
    expect(await as(nobody, denial)).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } })
  })

  // What only reads, another site cannot read the answer of.
  if (!denial.route.startsWith('GET')) {
    test('another site makes the browser send it', async () => {
      expect(await as(operator.withoutToken, denial)).toMatchObject({
        status: 403,
        body: { code: 'CSRF_REFUSED' },
      })
    })
  }

  test('those of the tenant who lack the permission', async () => {
    const { permission, lacking = 403 } = denial
    if (permission === null) return
    const others = scopes.filter((scope) => scope !== permission)
    expect(await as(await keyOf(stage.own, others), denial)).toMatchObject({ status: lacking })
    const mayAsMember = rolePermissions.member.includes(permission) && !denial.everywhere
    const status = mayAsMember ? expect.toSatisfy(isFine) : 403
    expect(await as(member, denial)).toMatchObject({ status })
    if (rolePermissions.owner.includes(permission) && !denial.everywhere) return
    expect(await as(owner, denial)).toMatchObject({ status: 403 })
  })

  test("another tenant's owner, and a key of it with every scope", async () => {
    for (const neighbour of neighbours) {
      const ask = await denial.ask(stage)
      const answer = await send(neighbour, denial, ask)
      if (denial.neighbour === 'nothing') expectNothingIn(answer)
      else expect(answer).toMatchObject({ status: denial.neighbour })
      if (denial.neighbour === 404) await expectSameAsNothing(neighbour, denial, ask, answer)
    }
  })

  test('whoever may, may', async () => {
    expect(await as(operator, denial)).toMatchObject({ status: expect.toSatisfy(isFine) })
  })
})

function isFine(status: number): boolean {
  return status >= 200 && status < 300
}

function expectNothingIn({ status, body }: Answer): void {
  expect(status).toSatisfy(isFine)
  const told = JSON.stringify(body)
  expect(told).not.toContain(stage.own)
  expect(told).not.toContain(stage.runId)
}

const uuids = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g

/** What is another's is answered as what does not exist. */
async function expectSameAsNothing(caller: Caller, denial: Denial, ask: Ask, answer: Answer): Promise<void> {
  const nowhere = await send(caller, denial, {
    ...ask,
    path: ask.path.replace(uuids, () => randomUUID()).replaceAll(stage.own, 'nobody_has_this'),
  })
  const without = (body: unknown) =>
    JSON.stringify(body)
      .replace(uuids, 'ID')
      .replaceAll(stage.own, 'TENANT')
      .replaceAll('nobody_has_this', 'TENANT')
  expect(nowhere.status).toBe(answer.status)
  expect(without(nowhere.body)).toBe(without(answer.body))
}
