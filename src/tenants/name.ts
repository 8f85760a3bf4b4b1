/** What people call a tenant. It is shown in terminals and mails, so it is text that can be read. */
import { InvalidTenantNameError } from '../errors.ts'

const maxNameLength = 200

/** The name without space around it; the slug where it is empty or left out. @throws InvalidTenantNameError. */
export function parseTenantName(value: unknown, slug: string): string {
  if (value === undefined) return slug
  if (typeof value !== 'string') throw new InvalidTenantNameError()
  const name = value.trim()
  if (name.length > maxNameLength || /\p{Cc}/u.test(name) || !name.isWellFormed()) {
    throw new InvalidTenantNameError()
  }
  return name || slug
}
