/** Where a request comes from: the socket, and what proxies of one's own have written, no further. */
import { Hono } from 'hono'
import { expect, test } from 'vitest'
import { clientAddress } from '../../src/http/client-address.ts'
import { startHttpServer } from '../../src/http/server.ts'

const appFor = (trustedProxies: number) =>
  new Hono().get('/', (context) => context.json(clientAddress(context, trustedProxies)))

async function addressOf(
  forwarded: string | null,
  trustedProxies: number,
  socket: string | null = '192.0.2.1',
) {
  const headers = forwarded === null ? {} : { 'x-forwarded-for': forwarded }
  const bindings = socket === null ? {} : { incoming: { socket: { remoteAddress: socket } } }
  return await (await appFor(trustedProxies).request('/', { headers }, bindings)).json()
}

test('without a proxy nothing that is written counts', async () => {
  expect(await addressOf(null, 0)).toBe('192.0.2.1')
  expect(await addressOf('10.0.0.1, 10.0.0.2', 0)).toBe('192.0.2.1')
})

test('behind proxies, the address that the outermost of them was asked by', async () => {
  expect(await addressOf('10.0.0.1', 1)).toBe('10.0.0.1')
  expect(await addressOf('6.6.6.6, 10.0.0.1', 1)).toBe('10.0.0.1')
  expect(await addressOf('6.6.6.6,10.0.0.1 , 10.0.0.2', 2)).toBe('10.0.0.1')
  expect(await addressOf('10.0.0.1', 2)).toBe('10.0.0.1')
  expect(await addressOf(null, 2)).toBe('192.0.2.1')
})

test('without a socket it is not known', async () => {
  expect(await addressOf('10.0.0.1', 0, null)).toBeNull()
  expect(await addressOf('10.0.0.1', 1, null)).toBeNull()
})

test('a real one', async () => {
  const server = await startHttpServer({ fetch: appFor(0).fetch, port: 0 })
  expect(await (await fetch(server.url)).json()).toMatch(/^(::1|::ffff:127\.0\.0\.1|127\.0\.0\.1)$/)
  await server.stop({ timeoutMs: 1_000 })
})
