/** Setting a tenant's credentials of a service, once they are known to be of the form that the service has. */
import { type CredentialStoreDeps, storeCredentials } from '../credentials/store.ts'
import { InvalidCredentialError } from '../errors.ts'
import { parseSlug } from '../tenants/slug.ts'
import { loadService } from './registry.ts'
import type { Service } from './service.ts'

const longestValue = 16_384

/**
 * All or none. What is there already and is not named stays. Running workers use the new values within a second, and
 * runs that waited for them go on.
 *
 * @throws InvalidTenantSlugError, UnknownServiceError, InvalidCredentialError before anything is stored;
 * EncryptionKeyMissingError; UnknownTenantError.
 */
export async function setCredential(
  deps: CredentialStoreDeps,
  tenantId: string,
  service: string,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  const slug = parseSlug(tenantId)
  const definition = await loadService(service)
  const checked = Object.fromEntries(
    entriesOf(values).map(([key, value]) => [key, checkValue(definition, key, value)]),
  )
  const required = Object.keys(definition.keys).filter((key) => definition.keys[key]!.required)
  await storeCredentials(deps, slug, service, checked, required)
}

/** @throws InvalidCredentialError */
export function checkKey({ title, keys }: Service, key: string): void {
  if (Object.hasOwn(keys, key)) return
  throw new InvalidCredentialError(
    `${title} has no credential ${JSON.stringify(key)}. It has: ${Object.keys(keys).join(', ')}.`,
  )
}

function entriesOf(values: unknown): [string, unknown][] {
  const entries = typeof values === 'object' && values !== null ? Object.entries(values) : []
  if (entries.length > 0) return entries
  throw new InvalidCredentialError('Give the credentials as an object, for example { secret_key: value }.')
}

/** Space around a value comes from copying it. The message never has the value. */
function checkValue(service: Service, key: string, given: unknown): string {
  checkKey(service, key)
  const { description, pattern } = service.keys[key]!
  const value = typeof given === 'string' ? given.trim() : ''
  const refuse = (why: string) =>
    new InvalidCredentialError(`The ${key} for ${service.title} ${why}. It is ${description}.`)
  if (value === '') throw refuse('is empty')
  if (value.length > longestValue) throw refuse(`is longer than ${longestValue} characters`)
  if (/\p{Cc}/u.test(value.replaceAll('\n', ''))) throw refuse('has control characters')
  if (pattern && !pattern.test(value)) throw refuse('does not look like one')
  return value
}
