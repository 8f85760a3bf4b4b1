/** What people type about an account, checked and in the one form that is stored and compared. */
import { z } from 'zod'
import { InvalidAccountError, InvalidPasswordError } from '../errors.ts'

const longestEmail = 254
const longestName = 200
const passwordLength = { min: 12, max: 128 }

/** Lower case, ASCII only: no two addresses look alike. @throws InvalidAccountError. */
export function parseEmail(value: unknown): string {
  const parsed = z
    .email()
    .max(longestEmail)
    .safeParse(typeof value === 'string' ? value.trim() : value)
  if (!parsed.success) throw new InvalidAccountError('An e-mail address looks like maya@example.com.')
  return parsed.data.toLowerCase()
}

/** What people are called, or what a key is for. @throws InvalidAccountError. */
export function parseName(value: unknown): string {
  const name = typeof value === 'string' ? value.trim() : ''
  if (name === '' || name.length > longestName || /\p{Cc}/u.test(name) || !name.isWellFormed()) {
    throw new InvalidAccountError(
      `A name is a text of 1 to ${longestName} characters, without control characters.`,
    )
  }
  return name
}

/** As it is hashed: the same whatever keyboard composed it (NFKC). @throws InvalidPasswordError. */
export function parsePassword(value: unknown): string {
  const password = normalizePassword(value)
  if (password === null) throw new InvalidPasswordError(passwordLength)
  return password
}

/** Null: no password has this length, so it is nobody's. */
export function normalizePassword(value: unknown): string | null {
  // Bounded before it is normalised: a character may become eighteen.
  if (typeof value !== 'string' || value.length > 4 * passwordLength.max || !value.isWellFormed()) return null
  const password = value.normalize('NFKC')
  const { length } = [...password]
  return length >= passwordLength.min && length <= passwordLength.max ? password : null
}
