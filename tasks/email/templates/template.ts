/**
 * A template: what an entry of email_queue says, made of the ids in its data. It looks up what they name, so it says what
 * is so when it is sent; or that there is nothing to say any more.
 */
import { AbortTaskError } from '@cgk-platform/jobs'
import type { z } from 'zod'
import { type Content, type Letter, writeLetter } from './letter.ts'

/** Why the email is not sent, though nothing went wrong: `order is refunded`. */
export interface Skip {
  skip: string
}

/** How the tenant tells days and times. */
export interface Place {
  /** An IANA name. */
  timezone: string
}

/** @throws AbortTaskError when the data is not what the template needs. */
export type Template = (data: unknown, place: Place) => Promise<Content | Skip>

export function template<Schema extends z.ZodType>(
  schema: Schema,
  compose: (data: z.output<Schema>, place: Place) => Promise<Letter | Skip>,
): Template {
  return async (data, place) => {
    const read = schema.safeParse(data)
    if (!read.success) {
      const issues = read.error.issues.map(({ path, message }) => `${path.join('.') || 'data'}: ${message}`)
      throw new AbortTaskError(`The data does not fit the template: ${issues.join('; ')}`)
    }
    const composed = await compose(read.data, place)
    return 'skip' in composed ? composed : await writeLetter(composed)
  }
}
