/** What goes for every answer, whatever was asked. */
import { describe, expect, test } from 'vitest'
import { app, keyText, kit, onPlatform } from './api/kit.ts'

onPlatform({ tasks: [] })

const asked = [
  ['GET', '/health', 200],
  ['GET', '/ready', 200],
  ['GET', '/metrics', 401],
  ['GET', '/api/v1/openapi.json', 200],
  ['GET', '/api/v1/session', 401],
  ['POST', '/api/v1/session', 400],
  ['POST', '/webhooks/nobody/mux', 404],
  ['GET', '/webhooks/nobody/mux', 405],
  ['GET', '/nothing', 404],
] as const

test.each(asked)(
  '%s %s is answered with %i, and safe in a browser and in a cache',
  async (method, path, status) => {
    const response = await app.request(path, { method })
    expect(response.status).toBe(status)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'x-frame-options': 'DENY',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cache-control': 'no-store',
    })
  },
)

test('no other site may read an answer', async () => {
  const headers = { origin: 'https://evil.test', 'access-control-request-method': 'POST' }
  for (const method of ['OPTIONS', 'GET']) {
    const response = await app.request('/api/v1/openapi.json', { method, headers })
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  }
})

describe('another method than those of a path', () => {
  test('is answered with those', async () => {
    const tenantId = await kit.tenant()
    const headers = { authorization: `Bearer ${await keyText(tenantId, ['runs:read'])}` }
    for (const [method, path, allow] of [
      ['POST', '/health', 'GET, HEAD'],
      ['GET', '/webhooks/shop/mux', 'POST'],
      ['PATCH', '/api/v1/session', 'POST, GET, HEAD, DELETE'],
      ['PUT', `/api/v1/tenants/${tenantId}`, 'GET, HEAD, PATCH, DELETE'],
      ['GET', `/api/v1/tenants/${tenantId}/schedules/a%2Fb%3Ac`, 'PUT, DELETE'],
    ] as const) {
      const response = await app.request(path, { method, headers })
      expect([response.status, response.headers.get('allow')], `${method} ${path}`).toEqual([405, allow])
      expect(await response.json()).toMatchObject({ code: 'METHOD_NOT_ALLOWED', status: 405 })
    }
    expect((await app.request('/api/v1/nothing', { method: 'PUT', headers })).status).toBe(404)
    // Nobody learns which paths there are.
    expect((await app.request(`/api/v1/tenants/${tenantId}`, { method: 'PUT' })).status).toBe(401)
  })
})
