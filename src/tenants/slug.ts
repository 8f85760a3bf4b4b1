/** A slug is a tenant's name everywhere: in payloads, in its schema, in its role. It is checked before any SQL. */
import { InvalidTenantSlugError } from '../errors.ts'

export { schemaName } from '../db/schema.ts'

/** `tenant_<slug>_<7 characters of a database oid>` is then 63 bytes, the longest identifier of Postgres. */
export const maxSlugLength = 48

const slugPattern = new RegExp(`^[a-z][a-z0-9_]{0,${maxSlugLength - 1}}$`)

export function parseSlug(value: unknown): string {
  if (typeof value !== 'string' || !slugPattern.test(value)) throw new InvalidTenantSlugError(value)
  return value
}

/** Letters that NFKD leaves whole. */
const letters: Record<string, string> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  ł: 'l',
  đ: 'd',
  ð: 'd',
  þ: 'th',
  ı: 'i',
}

/**
 * A slug to suggest for a person's text: "My Brand" is my_brand, "Café Zürich" cafe_zurich, "3M" t_3m.
 *
 * @throws InvalidTenantSlugError when the text has no Latin letter or digit to make one of.
 */
export function slugFromName(name: string): string {
  const words = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u0300-\u036f'’]/g, '')
    .replace(/[^\0-\x7f]/g, (letter) => letters[letter] ?? ' ')
    .match(/[a-z0-9]+/g)
  if (!words) throw new InvalidTenantSlugError(name)
  const slug = words.join('_')
  return (/^\d/.test(slug) ? `t_${slug}` : slug).slice(0, maxSlugLength).replace(/_$/, '')
}
