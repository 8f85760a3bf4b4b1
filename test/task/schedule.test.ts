import { expect, test } from 'vitest'
import { z } from 'zod'
import { InvalidTaskError, InvalidTenantSlugError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import type { TaskSchedule } from '../../src/task/schedule.ts'

const schema = tenantPayload({ limit: z.number().max(10).default(1) })

function define(...schedules: TaskSchedule<typeof schema>[]) {
  return defineTask({ id: 'a/b', payload: schema, schedules, run: () => null })
}

test('what is not said has a default', () => {
  expect(define({ cron: ' 0  3 * * *' }).schedules).toEqual([
    {
      key: 'default',
      cron: '0 3 * * *',
      timezone: 'UTC',
      onlyTenant: null,
      catchUp: 'once',
      overlap: 'allow',
      windowMs: 0,
      payload: {},
    },
  ])
})

test('what is said holds', () => {
  const { schedules } = define(
    { cron: '0 3 * * *', timezone: 'tenant', catchUp: 'all', overlap: 'skip', window: '10m' },
    { key: 'one', cron: '0 4 * * *', each: 'platform', payload: { tenantId: 'main', limit: 5 } },
  )
  expect(schedules).toMatchObject([
    { timezone: 'tenant', catchUp: 'all', overlap: 'skip', windowMs: 600_000 },
    { key: 'one', onlyTenant: 'main', payload: { limit: 5 } },
  ])
})

test('a payload is held against the schema, but for a tenant that is only a sample', () => {
  const required = tenantPayload({ name: z.string() })
  const defining = (payload?: { name: string }) =>
    defineTask({
      id: 'a/b',
      payload: required,
      schedules: [payload ? { cron: '0 3 * * *', payload } : { cron: '0 3 * * *' }],
      run: () => null,
    })
  expect(() => defining()).toThrow(/schedule of a\/b .* payload does not fit the task: name: /)
  expect(defining({ name: 'x' }).schedules[0]!.payload).toEqual({ name: 'x' })

  const particular = z.object({ tenantId: z.string().refine((slug) => slug === 'mine') })
  const slow = z.object({ tenantId: z.string(), at: z.string().refine(async () => false) })
  const schedules = [{ cron: '0 3 * * *', payload: { at: 'x' } }]
  defineTask({ id: 'a/b', payload: particular, schedules: [{ cron: '0 3 * * *' }], run: () => null })
  defineTask({ id: 'a/b', payload: slow, schedules, run: () => null })
})

test.each<[schedule: unknown, message: RegExp]>([
  [null, /must be a list/],
  [{}, /cron must be five fields/],
  [{ cron: '* * * *' }, /cron must be five fields/],
  [{ cron: '0 0 31 2 *' }, /come at some time/],
  [{ cron: '0 3 * * *', timezone: 'Mars/Base' }, /timezone must be an IANA name/],
  [{ cron: '0 3 * * *', timezone: '+02:00' }, /timezone must be an IANA name/],
  [{ cron: '0 3 * * *', each: 'user' }, /each must be/],
  [{ cron: '0 3 * * *', catchUp: true }, /catchUp must be/],
  [{ cron: '0 3 * * *', overlap: 'never' }, /overlap must be/],
  [{ cron: '0 3 * * *', window: '25h' }, /window must be/],
  [{ cron: '0 3 * * *', window: -1 }, /window must be/],
  [{ cron: '0 3 * * *', key: 'A b' }, /key must be/],
  [{ cron: '0 3 * * *', zone: 'UTC' }, /no field zone/],
  [{ cron: '0 3 * * *', payload: [] }, /payload must be an object/],
  [{ cron: '0 3 * * *', payload: { limit: 11 } }, /does not fit the task: limit/],
  [{ cron: '0 3 * * *', payload: { other: 1 } }, /does not fit the task/],
  [{ cron: '0 3 * * *', payload: { tenantId: 'x' } }, /each: 'platform'/],
  [{ cron: '0 3 * * *', each: 'platform' }, /needs payload.tenantId/],
])('%j is refused', (schedule, message) => {
  expect(() => define(schedule as never)).toThrow(InvalidTaskError)
  expect(() => define(schedule as never)).toThrow(message)
})

test('a payload that JSON cannot carry is refused', () => {
  const schedule = { cron: '0 3 * * *', payload: { limit: 1n } }
  expect(() => define(schedule as never)).toThrow(/payload must be an object that JSON can carry/)
})

test('two schedules of a task have two keys', () => {
  expect(() => define({ cron: '0 3 * * *' }, { cron: '0 4 * * *' })).toThrow(/the key "default"/)
})

test('the tenant of a platform schedule is a slug', () => {
  const schedule = { cron: '0 3 * * *', each: 'platform', payload: { tenantId: 'Not One' } } as const
  expect(() => define(schedule)).toThrow(InvalidTenantSlugError)
})
