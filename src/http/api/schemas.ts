/** Schemas that several routes share. A name makes it a component of the OpenAPI document. */
import { z } from '@hono/zod-openapi'

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    /** Stable, safe to branch on. */
    code: z.string(),
    issues: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .openapi('Problem')

export const time = z.iso.datetime({ offset: true })
export const slug = z.string().regex(/^[a-z][a-z0-9_]{0,47}$/, 'is no tenant slug')
export const uuid = z.uuid()

/** What Postgres can keep, and so find: no NUL, and no half of a character. */
export function text(longest: number) {
  const isStorable = (given: string) => !given.includes('\0') && given.isWellFormed()
  return z.string().max(longest).refine(isStorable, 'has characters that cannot be kept')
}

/** Why something is done, for the audit log. */
export const reason = text(1_000).trim().min(1)

/** Of a page; `after` is the `next` of the page before. */
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(1_000).default(50),
  after: text(200).optional(),
}

/** What every route may answer besides its own. */
export const problems = {
  400: problemAnswer('The request does not fit the API.'),
  401: problemAnswer('Nobody has signed in.'),
  403: problemAnswer('Whoever has signed in may not.'),
  503: problemAnswer('Not at the moment: the same request is answered later, see Retry-After.'),
}

export function problemAnswer(description: string) {
  return { description, content: { 'application/problem+json': { schema: problemSchema } } }
}

export function jsonAnswer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { 'application/json': { schema } } }
}

export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  return { body: { required: true, content: { 'application/json': { schema } } } }
}
