import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import registry from '../../../tasks/index.ts'
import { keyOf, kit, nobody, onPlatform, userOf } from './kit.ts'

const report = defineTask({
  id: 'api/send-report',
  payload: tenantPayload({
    email: z.email().meta({ pii: true }),
    copies: z.number().int().default(1),
    at: z.date().optional(),
  }),
  services: ['resend'],
  retry: { maxAttempts: 5, minDelay: '2s' },
  timeout: '2m',
  concurrency: { perTenant: 3 },
  schedules: [
    { cron: '0 8 * * 1', timezone: 'tenant', window: '10m', payload: { email: 'a@x.test' } },
    {
      key: 'for-one',
      cron: '0 9 * * *',
      each: 'platform',
      payload: { email: 'b@x.test', tenantId: 'first' },
    },
  ],
  run: () => null,
})

onPlatform({ tasks: [report, ...registry] })

const path = '/tasks/api%2Fsend-report'

test('one task, as it is defined', async () => {
  const key = await keyOf(null, ['runs:read', 'payload:read'])
  expect((await key.get(path)).body).toEqual({
    id: 'api/send-report',
    services: ['resend'],
    retry: { maxAttempts: 5, minDelayMs: 2_000, maxDelayMs: 600_000, factor: 2 },
    timeoutMs: 120_000,
    perTenant: 3,
    schedules: [
      {
        key: 'default',
        cron: '0 8 * * 1',
        timezone: 'tenant',
        tenantId: null,
        catchUp: 'once',
        overlap: 'allow',
        windowMs: 600_000,
        payload: { email: 'a@x.test' },
      },
      expect.objectContaining({ key: 'for-one', tenantId: 'first' }),
    ],
    payload: expect.objectContaining({
      type: 'object',
      additionalProperties: false,
      required: ['email', 'tenantId'],
      properties: {
        email: expect.objectContaining({ type: 'string', format: 'email', pii: true }),
        copies: expect.objectContaining({ type: 'integer', default: 1 }),
        at: {},
        tenantId: expect.objectContaining({ type: 'string', maxLength: 48 }),
      },
    }),
  })
})

test('all tasks, by id', async () => {
  const { status, body } = await (await userOf('operator')).get('/tasks')
  expect(status).toBe(200)
  const ids = body.tasks.map(({ id }: { id: string }) => id)
  expect(ids).toEqual([report, ...registry].map(({ id }) => id).sort())
})

describe('a tenant', () => {
  test('sees tasks, with what is marked in schedules masked, and no schedule of another tenant', async () => {
    const key = await keyOf(await kit.tenant(), ['runs:read'])
    for (const answer of [await key.get(path), await key.get('/tasks')]) {
      expect(answer.status).toBe(200)
      const told = JSON.stringify(answer.body)
      expect(told).toContain('"payload":{"email":"[masked]"}')
      for (const secret of ['a@x.test', 'b@x.test', 'for-one']) expect(told).not.toContain(secret)
    }
  })

  test('is told of a task that is not there', async () => {
    const key = await keyOf(await kit.tenant(), ['runs:read'])
    expect(await key.get('/tasks/no%2Fsuch')).toMatchObject({ status: 404, body: { code: 'TASK_UNKNOWN' } })
  })
})

test('not for everybody', async () => {
  const key = await keyOf(await kit.tenant(), ['runs:trigger'])
  for (const one of ['/tasks', path]) {
    expect(await nobody.get(one)).toMatchObject({ status: 401 })
    expect(await key.get(one)).toMatchObject({ status: 403 })
  }
})
