import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { payloadJsonSchema } from '../../../src/engines/trigger/payload-schema.ts'
import { tenantPayload } from '../../../src/task/payload.ts'

let calls = 0
const called = <T>(value: T) => {
  calls += 1
  return value
}

const taskOf = (shape: z.ZodRawShape) => ({ schema: tenantPayload(shape) })

test('is what callers write: before defaults and transforms, nothing unknown', () => {
  const task = taskOf({
    text: z.string().transform((text) => text.length),
    count: z.number().default(1),
    on: z.iso.date().optional(),
    at: z.date(),
  })
  const schema = payloadJsonSchema(task)
  expect(schema).toMatchObject({
    type: 'object',
    additionalProperties: false,
    properties: { text: { type: 'string' }, count: { type: 'number' }, on: { type: 'string' }, at: {} },
  })
  expect(schema.required).toEqual(['text', 'at', 'tenantId'])
})

test('calls no code of the schema, wherever that lies, and takes nothing from it', async () => {
  const throwing = (): never => {
    throw new Error('REGION is not set')
  }
  const shape = {
    at: z.iso.datetime().default(() => called(new Date().toISOString())),
    id: z.string().prefault(() => called(randomUUID())),
    caught: z.number().catch(() => called(Math.random())),
    region: z.string().default(throwing),
    list: z.array(z.object({ id: z.uuid().default(() => called(randomUUID())) })),
    either: z.union([z.string(), z.object({ n: z.number().default(() => called(1)) })]).optional(),
    rest: z.record(
      z.string(),
      z
        .number()
        .nullable()
        .default(() => called(1)),
    ),
    late: z.lazy(() => z.string().default(() => called('x'))),
    piped: z
      .string()
      .default(() => called('1'))
      .pipe(z.coerce.number()),
  }
  calls = 0
  const schema = payloadJsonSchema(taskOf(shape))
  expect(calls).toBe(0)
  expect(JSON.stringify(schema)).not.toContain('"default"')
  expect(schema.properties).toMatchObject({
    at: { type: 'string', format: 'date-time' },
    region: { type: 'string' },
    list: { type: 'array', items: { properties: { id: { type: 'string' } } } },
  })
  // Showing it has changed nothing.
  expect(shape.id.parse(undefined)).toMatch(/-/)
  expect(calls).toBe(1)
  expect(() => shape.region.parse(undefined)).toThrow('REGION')
  expect(shape.caught.parse('x')).toBeLessThan(1)
  expect(payloadJsonSchema(taskOf(shape))).toEqual(schema)
})

test('a schema that refers to itself, and one with a field that is called like a default', () => {
  interface Tree {
    leaves?: Tree[] | undefined
  }
  const tree: z.ZodType<Tree> = z.object({ leaves: z.lazy(() => z.array(tree).default([])).optional() })
  const schema = payloadJsonSchema(taskOf({ tree, default: z.string() }))
  expect(schema.properties).toMatchObject({ default: { type: 'string' } })
  expect(schema.required).toEqual(['tree', 'default', 'tenantId'])
})

test('one that cannot be shown is an object, and no error', () => {
  const broken = z.lazy((): z.ZodType => {
    throw new Error('not without its environment')
  })
  expect(payloadJsonSchema(taskOf({ broken }))).toEqual({ type: 'object' })
})
