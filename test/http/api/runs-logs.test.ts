import { setTimeout } from 'node:timers/promises'
import { runs } from '@cgk-platform/jobs'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import {
  createApiKey,
  disableUser,
  removeMember,
  revokeAllSessions,
  revokeApiKey,
} from '../../../src/auth/index.ts'
import { type HttpServer, startHttpServer } from '../../../src/http/server.ts'
import { createLogger } from '../../../src/log.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import { app, keyOf, keyText, kit, onPlatform, userOf } from './kit.ts'
import { account, signIn } from './people.ts'

let goOn = Promise.withResolvers<void>()
const talk = defineTask({
  id: 'api/talk',
  payload: tenantPayload({ lines: z.number() }),
  run: ({ lines }, { logger }) => {
    for (let n = 1; n <= lines; n += 1) logger.info({ n }, `line ${n}`)
  },
})
const pause = defineTask({
  id: 'api/pause',
  payload: tenantPayload({}),
  run: async (_, { logger }) => {
    logger.warn('before\n\nevent: end')
    await goOn.promise
    logger.info('after')
  },
})

// What the process does not log at all is not kept with the run either.
onPlatform({ tasks: [talk, pause], logger: createLogger('info', { write: () => {} }) })

let server: HttpServer
beforeAll(async () => {
  server = await startHttpServer({ fetch: (request) => app.fetch(request), port: 0 })
})
afterAll(() => server.stop({ timeoutMs: 0 }))

const messages = ({ body }: { body: { lines: { message: string }[] } }) =>
  body.lines.map(({ message }) => message)

describe('GET /runs/:id/logs', () => {
  test('is the log, oldest line first, page by page', async () => {
    const tenantId = await kit.tenant()
    const { id } = await talk.trigger({ tenantId, lines: 5 })
    await kit.drain()
    const member = await userOf('member', tenantId)
    const first = await member.get(`/runs/${id}/logs?limit=3`)
    expect(first).toMatchObject({ status: 200, body: { next: 3, written: 5 } })
    expect(first.body.lines[0]).toEqual({
      seq: 1,
      attempt: 1,
      level: 'info',
      at: expect.stringMatching(/Z$/),
      message: 'line 1',
      fields: { n: 1 },
    })
    const second = await member.get(`/runs/${id}/logs?limit=3&after=3`)
    expect(messages(second)).toEqual(['line 4', 'line 5'])
    expect(second.body.next).toBeNull()
  })

  test.each(['limit=0', 'limit=1001', 'after=-1', 'follow=maybe', 'level=warn'])(
    'refuses ?%s',
    async (query) => {
      const tenantId = await kit.tenant()
      const { id } = await talk.trigger({ tenantId, lines: 0 })
      const key = await keyOf(tenantId, ['runs:read'])
      expect(await key.get(`/runs/${id}/logs?${query}`)).toMatchObject({ status: 400 })
    },
  )
})

describe('follow=true', () => {
  async function follow(id: string, headers: Record<string, string> = {}, query = '') {
    const leaving = new AbortController()
    const { tenantId } = await runs.get(id)
    const authorization = `Bearer ${await keyText(tenantId, ['runs:read'])}`
    const response = await fetch(`${server.url}/api/v1/runs/${id}/logs?follow=true${query}`, {
      headers: { authorization, ...headers },
      signal: leaving.signal,
    })
    return { response, leave: () => leaving.abort() }
  }

  function eventsOf(text: string): { event: string; id?: string; data: unknown }[] {
    const blocks = text.split('\n\n').filter((block) => block.startsWith('event'))
    return blocks.map((block) => {
      const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: (.*)/s, 2)))
      return { ...fields, data: JSON.parse(fields.data) }
    })
  }

  test('sends the lines that are there and each that comes, until the run has ended', async () => {
    goOn = Promise.withResolvers()
    const { id } = await pause.trigger({ tenantId: await kit.tenant() })
    const worker = await kit.platform.startWorker()
    try {
      const { response } = await follow(id)
      expect(response.headers.get('content-type')).toBe('text/event-stream')
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
      let text = ''
      while (!text.includes('before')) text += (await reader.read()).value
      expect(text).not.toContain('after')
      goOn.resolve()
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value
      expect(eventsOf(text)).toMatchObject([
        { event: 'line', id: '1', data: { seq: 1, level: 'warn', message: 'before\n\nevent: end' } },
        { event: 'line', id: '2', data: { seq: 2, message: 'after' } },
        { event: 'end' },
      ])
    } finally {
      goOn.resolve()
      await worker.stop()
    }
  })

  test('goes on after the last line that was seen', async () => {
    const { id } = await talk.trigger({ tenantId: await kit.tenant(), lines: 4 })
    await kit.drain()
    const read = async ({ response }: { response: Response }) =>
      eventsOf(await response.text()).map((event) => event.id ?? event.event)
    expect(await read(await follow(id, { 'last-event-id': '3' }))).toEqual(['4', 'end'])
    expect(await read(await follow(id, {}, '&after=2'))).toEqual(['3', '4', 'end'])
    const { response } = await follow(id, { 'last-event-id': 'x' })
    expect(response.status).toBe(400)
  })

  test('says now and then that it is still there', async () => {
    const { id } = await pause.trigger({ tenantId: await kit.tenant() }, { delay: '1h' })
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const { response, leave } = await follow(id)
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
      await vi.advanceTimersByTimeAsync(15_000)
      expect((await reader.read()).value).toBe(': still here\n\n')
      leave()
    } finally {
      vi.useRealTimers()
    }
  })

  test('breaks off soon after whoever listens may not any more, and goes on for the others', async () => {
    const tenantId = await kit.tenant()
    const { auth } = await kit.platform.ready()
    const { id } = await pause.trigger({ tenantId }, { delay: '1h' })
    const listen = async (headers: Record<string, string>) => {
      const leaving = new AbortController()
      const url = `${server.url}/api/v1/runs/${id}/logs?follow=true`
      const response = await fetch(url, { headers, signal: leaving.signal })
      expect(response.status).toBe(200)
      let hasEnded = false
      const text = response.text().finally(() => {
        hasEnded = true
      })
      return { text, leave: () => leaving.abort(), hasEnded: () => hasEnded }
    }
    const key = await createApiKey(auth, { tenantId, name: 'k', scopes: ['runs:read'] }, null)
    const member = async () => {
      const person = await account({ membership: { tenantId, role: 'member' } })
      const { cookie } = await signIn(person)
      return { ...person, stream: await listen({ cookie }) }
    }
    const [leaver, disabled, signsOut, stays] = [
      await member(),
      await member(),
      await member(),
      await member(),
    ]
    const keyStream = await listen({ authorization: `Bearer ${key.key}` })
    await revokeApiKey(auth, key.id, null)
    await removeMember(auth, leaver.id, tenantId, null)
    await disableUser(auth, disabled.id, null)
    await revokeAllSessions(auth, signsOut.id)
    for (const stream of [keyStream, leaver.stream, disabled.stream, signsOut.stream]) {
      expect(await stream.text).not.toContain('event:')
    }
    // The next look finds that one still right.
    await setTimeout(3_500)
    expect(stays.stream.hasEnded()).toBe(false)
    stays.stream.text.catch(() => {})
    stays.stream.leave()
  }, 15_000)

  test('stops looking when nobody listens any more', async () => {
    const { id } = await pause.trigger({ tenantId: await kit.tenant() }, { delay: '1h' })
    const { logs } = await kit.platform.ready()
    const followed = vi.spyOn(logs, 'follow')
    const { leave } = await follow(id)
    await vi.waitUntil(() => followed.mock.calls.length === 1)
    const { signal } = followed.mock.calls[0]![1]!
    expect(signal!.aborted).toBe(false)
    leave()
    await vi.waitUntil(() => signal!.aborted)
    followed.mockRestore()
  })
})
