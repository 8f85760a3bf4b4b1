/** Ids of users, sessions, keys and invitations are UUIDs. Another text is nobody's, and Postgres is not asked about it. */
import { z } from 'zod'

const uuid = z.guid()

export function isId(value: unknown): value is string {
  return uuid.safeParse(value).success
}
