/**
 * What a payload may be, and what is checked before it reaches a queue.
 *
 * `trigger` validates what will really arrive, the payload after a JSON round trip, and queues the caller's input.
 * `execute` parses that once more, so defaults and transforms are applied exactly once, on every engine.
 */
import { z } from 'zod'
import { InvalidPayloadError, InvalidTaskError, type PayloadIssue } from '../errors.ts'
import type { JsonValue } from './json.ts'

/** The zod schema of a tenant's slug. */
export const tenantId = z
  .string()
  .max(48, 'a tenant slug has at most 48 characters')
  .regex(/^[a-z][a-z0-9_]*$/, 'not a tenant slug: a lower-case letter, then letters, digits or underscores')

/** A payload schema with `tenantId` and the given fields. Unknown keys are refused. */
export function tenantPayload<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject({ ...shape, tenantId })
}

/** Any zod object may be a payload schema, as long as it requires `tenantId`. */
export type PayloadSchema = z.ZodObject

/** Turns a schema that would accept an object without `tenantId` into a compile error that says so. */
export type RequiresTenantId<Schema extends PayloadSchema> =
  z.input<Schema> extends { tenantId: string } ? unknown : 'The payload schema must require tenantId: string.'

/** The schema as the platform uses it: unknown keys refused, `tenantId` surely required. */
export function strictPayload<Schema extends PayloadSchema>(taskId: string, schema: Schema): Schema {
  if (!(schema instanceof z.ZodObject)) {
    throw new InvalidTaskError(
      `The payload of ${taskId} must be a zod object: tenantPayload({ ... }) makes one.`,
    )
  }
  const field: unknown = schema.shape.tenantId
  if (!(field instanceof z.ZodType)) {
    throw new InvalidTaskError(`The payload of ${taskId} has no tenantId: tenantPayload({ ... }) adds it.`)
  }
  if ([undefined, null, 1].some((none) => field.safeParse(none).success)) {
    throw new InvalidTaskError(
      `The payload of ${taskId} must require tenantId, a text; it accepts an object without.`,
    )
  }
  return schema.strict() as unknown as Schema
}

export interface AcceptedPayload {
  tenantId: string
  /** The caller's input after a JSON round trip: what the queue stores and `execute` parses. */
  input: JsonValue
}

/** Refuses what cannot be stored or does not fit the schema; nothing is queued before this has passed. */
export async function acceptPayload(
  taskId: string,
  schema: PayloadSchema,
  payload: unknown,
  maxBytes: number,
): Promise<AcceptedPayload> {
  const text = toJson(taskId, payload)
  if (text.length > maxBytes || Buffer.byteLength(text) > maxBytes) {
    const message = `larger than ${maxBytes} bytes of JSON; store large data in a table and pass its id`
    throw new InvalidPayloadError(taskId, [{ path: '', message }])
  }
  const input = JSON.parse(text) as JsonValue
  // Once more: what a toJSON answered was not seen before.
  refuseUnstorable(taskId, input)
  const parsed = await parsePayload(taskId, schema, input)
  return { tenantId: parsed.tenantId, input }
}

/** The payload as `run` sees it. */
export async function parsePayload<Schema extends PayloadSchema>(
  taskId: string,
  schema: Schema,
  input: unknown,
): Promise<z.output<Schema> & { tenantId: string }> {
  const result = await schema.safeParseAsync(input)
  if (!result.success) {
    throw new InvalidPayloadError(taskId, result.error.issues.map(asPayloadIssue))
  }
  return result.data as z.output<Schema> & { tenantId: string }
}

function toJson(taskId: string, payload: unknown): string {
  try {
    refuseUnstorable(taskId, payload)
    return JSON.stringify(payload) ?? 'null'
  } catch (error) {
    if (error instanceof InvalidPayloadError) throw error
    // A getter or a toJSON threw. Its message may hold anything, so it is not repeated.
    throw new InvalidPayloadError(taskId, [
      { path: '', message: 'has no JSON form: reading it threw an error' },
    ])
  }
}

function refuseUnstorable(taskId: string, value: unknown): void {
  const found = findUnstorable(value)
  if (found) throw new InvalidPayloadError(taskId, [found])
}

function asPayloadIssue(issue: z.core.$ZodIssue): PayloadIssue {
  return { path: issue.path.map(String).join('.'), message: issue.message }
}

/** JSON cannot carry it, or Postgres refuses it from deep inside. Strict about what would silently change. */
export function findUnstorable(
  value: unknown,
  path: string[] = [],
  above: object[] = [],
): PayloadIssue | null {
  const at = (message: string): PayloadIssue => ({ path: path.join('.'), message })
  if (typeof value === 'bigint') return at('a BigInt has no JSON form; pass it as a string')
  if (typeof value === 'string') return storableText(value) ? null : at(unstorableText)
  if (typeof value !== 'object' || value === null) return null
  if (above.includes(value)) return at('refers to itself; a payload is a tree')
  if (above.length > 200) return at('is nested more than 200 levels deep')
  // A Date and its like choose their own JSON form; what they choose is looked at after the round trip.
  if ('toJSON' in value && typeof value.toJSON === 'function') return null
  above.push(value)
  for (const key of Object.keys(value)) {
    path.push(key)
    const found = storableText(key)
      ? findUnstorable((value as Record<string, unknown>)[key], path, above)
      : at(unstorableText)
    if (found) return found
    path.pop()
  }
  above.pop()
  return null
}

const unstorableText = 'has a NUL character or a lone surrogate, which Postgres cannot store'

function storableText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}
