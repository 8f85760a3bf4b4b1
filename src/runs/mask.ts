/**
 * Payloads for those who may not see everything in them: what the schema marks, `.meta({ pii: true })` or
 * `.meta({ secret: true })`, is masked wherever it stands.
 *
 * In doubt it is masked: where any of several forms that a value may have is marked, where the schema does not know a
 * key, and all but `tenantId` where there is no schema any more.
 */
import { z } from 'zod'
import type { JsonValue } from '../task/json.ts'
import type { PayloadSchema } from '../task/payload.ts'
import type { Run } from '../task/run.ts'

export const masked = '[masked]'

/** `schema` is that of the run's task; null where the registry has it no more. */
export function maskRun<R extends Run>(run: R, schema: PayloadSchema | null): R {
  return { ...run, payload: maskPayload(schema, run.payload), output: maskOutput(run.output) }
}

export function maskPayload(schema: PayloadSchema | null, payload: JsonValue): JsonValue {
  if (schema !== null) return mask([schema], payload)
  if (!isObject(payload)) return payload === null ? null : masked
  return Object.fromEntries(
    Object.entries(payload).map(([key, value]) => [key, key === 'tenantId' ? value : masked]),
  )
}

/** A task declares no schema for what it returns, so nobody can say what in it is whose. */
export function maskOutput(output: JsonValue): JsonValue {
  return output === null ? null : masked
}

type Schema = z.core.$ZodTypes

/** `schemas` are those that the value may have to fit. */
function mask(schemas: readonly z.core.$ZodType[], value: JsonValue): JsonValue {
  if (value === null) return null
  const forms = schemas.flatMap((schema) => formsOf(schema as Schema))
  if (forms.length === 0 || forms.includes('marked')) return masked
  const known = forms.filter((form) => form !== 'marked')
  if (Array.isArray(value)) {
    return value.map((item, index) =>
      mask(
        known.flatMap((form) => itemAt(form, index)),
        item,
      ),
    )
  }
  if (isObject(value)) {
    const fields = Object.entries(value).map(([key, held]) => [
      key,
      mask(
        known.flatMap((form) => fieldAt(form, key)),
        held,
      ),
    ])
    return Object.fromEntries(fields) as JsonValue
  }
  return known.every(isContainer) ? masked : value
}

/** What is behind wrappers and alternatives; `marked` if any of them is. */
function formsOf(schema: Schema): (Schema | 'marked')[] {
  if (isMarked(schema)) return ['marked']
  const { def } = schema._zod
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
    case 'success':
    case 'promise':
      return formsOf(def.innerType as Schema)
    case 'union':
      return def.options.flatMap((option) => formsOf(option as Schema))
    case 'intersection':
      return [...formsOf(def.left as Schema), ...formsOf(def.right as Schema)]
    case 'lazy':
      return formsOf(def.getter() as Schema)
    case 'pipe':
      return [...formsOf(def.in as Schema), ...formsOf(def.out as Schema)]
    case 'transform':
      return []
    case 'record':
      return isMarked(def.keyType as Schema) ? ['marked'] : [schema]
    default:
      return [schema]
  }
}

function isMarked(schema: Schema): boolean {
  const { pii, secret } = (z.globalRegistry.get(schema) ?? {}) as { pii?: unknown; secret?: unknown }
  return pii === true || secret === true
}

function itemAt(form: Schema, index: number): z.core.$ZodType[] {
  const { def } = form._zod
  if (def.type === 'array') return [def.element]
  if (def.type === 'tuple') return [def.items[index] ?? def.rest].filter((item) => item != null)
  return isOpen(form) ? [form] : []
}

function fieldAt(form: Schema, key: string): z.core.$ZodType[] {
  const { def } = form._zod
  if (def.type === 'record') return [def.valueType]
  if (def.type !== 'object') return isOpen(form) ? [form] : []
  const field = Object.hasOwn(def.shape, key) ? def.shape[key] : def.catchall
  return field === undefined || (field as Schema)._zod.def.type === 'never' ? [] : [field]
}

/** Takes anything, and the schema marks none of it. */
function isOpen({ _zod: { def } }: Schema): boolean {
  return def.type === 'any' || def.type === 'unknown' || def.type === 'custom'
}

function isContainer({ _zod: { def } }: Schema): boolean {
  return def.type === 'object' || def.type === 'record' || def.type === 'array' || def.type === 'tuple'
}

function isObject(value: JsonValue): value is { [key: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
