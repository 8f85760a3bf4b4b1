/**
 * The schema of a task's payload as JSON Schema, for people who look at the task in Trigger.dev's dashboard: as callers
 * write the payload, before defaults and transforms. Trigger.dev reads it where no environment is set, so none of the
 * schema's own code may be called for it: `.default(() => randomUUID())` says something else every time, and
 * `.default(() => process.env.REGION!.trim())` throws.
 */
import { z } from 'zod'
import type { AnyTask } from '../../task/define.ts'

type AnySchema = z.core.$ZodType

export function payloadJsonSchema({ schema }: Pick<AnyTask, 'schema'>): Record<string, unknown> {
  try {
    return withoutFallbacks(schema, () => z.toJSONSchema(schema, options))
  } catch {
    // Parts that are made when somebody asks for them (z.lazy, getters) are code of the schema as well.
    return { type: 'object' }
  }
}

/** What JSON Schema cannot say is left open. */
const options = {
  io: 'input',
  target: 'draft-7',
  unrepresentable: 'any',
  override({ zodSchema, jsonSchema }) {
    if (fallbackOf(zodSchema)) delete jsonSchema.default
  },
} as const satisfies z.core.ToJSONSchemaParams

/**
 * zod asks every schema for its fallback value while it shows it, and a literal one looks like a computed one from outside.
 * So all of them are null meanwhile, and left out afterwards.
 */
function withoutFallbacks<T>(schema: AnySchema, show: () => T): T {
  const restore: (() => void)[] = []
  try {
    for (const { def, key } of fallbacksIn(schema)) {
      const before = Object.getOwnPropertyDescriptor(def, key)!
      Object.defineProperty(def, key, { value: key === 'catchValue' ? () => null : null, configurable: true })
      restore.push(() => Object.defineProperty(def, key, before))
    }
    return show()
  } finally {
    for (const one of restore) one()
  }
}

function fallbackOf(schema: AnySchema): 'defaultValue' | 'catchValue' | null {
  const { type } = schema._zod.def
  if (type === 'default' || type === 'prefault') return 'defaultValue'
  return type === 'catch' ? 'catchValue' : null
}

/** Of each schema within, wherever its definition keeps it. */
function* fallbacksIn(value: unknown, seen = new Set<unknown>()): Generator<{ def: object; key: string }> {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (!isSchema(value)) {
    if (isPlain(value)) for (const part of Object.values(value)) yield* fallbacksIn(part, seen)
    return
  }
  const { def } = value._zod
  const key = fallbackOf(value)
  if (key) yield { def, key }
  if (def.type === 'lazy') yield* fallbacksIn((value as z.core.$ZodLazy)._zod.innerType, seen)
  for (const name of Object.keys(def)) if (name !== key) yield* fallbacksIn(Reflect.get(def, name), seen)
}

function isSchema(value: object): value is AnySchema {
  return '_zod' in value
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype
}
