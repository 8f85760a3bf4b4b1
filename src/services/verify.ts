/** Verification: one cheap real call with a tenant's credentials, and what it says about them is kept. */
import { cleanText } from '../clean-text.ts'
import {
  credentialTable,
  explainMissingTenant,
  lockCredentials,
  readCredentialRows,
  versionOf,
} from '../credentials/rows.ts'
import type { Database } from '../db/database.ts'
import { platformTransaction } from '../db/platform-transaction.ts'
import { ServiceNotConfiguredError } from '../errors.ts'
import type { Holds } from '../holds/holds.ts'
import { liftHold } from '../holds/lift.ts'
import { parseSlug } from '../tenants/slug.ts'
import type { TenantClients } from './clients.ts'
import type { ServiceFailure } from './failure.ts'
import { loadService, type ServiceName } from './registry.ts'

export interface VerifyDeps {
  database: Database
  clients: TenantClients
  holds: Holds
}

export interface CredentialCheck {
  tenantId: string
  service: string
  /** `unknown`: the provider did not say, for it was away or asked to wait; what was known before stands. */
  result: 'valid' | 'refused' | 'unknown'
  /** Why it is not valid. */
  error: { code: string; message: string } | null
}

/**
 * Valid: the credentials count as good, and what was held because of them goes on. Refused: they count as invalid, and
 * runs that need the service are held; so are they for as long as the provider asks to wait.
 *
 * @throws InvalidTenantSlugError, UnknownServiceError, ServiceNotConfiguredError, CredentialError, UnknownTenantError.
 */
export async function verifyCredential(
  deps: VerifyDeps,
  tenantId: string,
  service: string,
): Promise<CredentialCheck> {
  const slug = parseSlug(tenantId)
  const { verify, readError } = await loadService(service)
  const found = await deps.clients.connectOnce(slug, service as ServiceName)
  if (found.missing) throw new ServiceNotConfiguredError(slug, service, found.missing)
  try {
    await verify(found.client, found.credentials)
  } catch (thrown) {
    const failure = readError(thrown)
    if (!failure) throw thrown
    return await recordFailure(deps, slug, service, found.version, failure)
  }
  await recordSuccess(deps, slug, service, found.version)
  return { tenantId: slug, service, result: 'valid', error: null }
}

async function recordSuccess(
  { database }: VerifyDeps,
  tenantId: string,
  service: string,
  version: string,
): Promise<void> {
  await whileUnchanged(database, tenantId, service, version, async (client) => {
    await client.query(
      `UPDATE ${credentialTable(tenantId)} SET status = 'active', last_error = NULL, last_verified_at = now()
       WHERE service_name = $1`,
      [service],
    )
    // What the provider asked to wait for is not over because it takes the credential.
    await liftHold(client, tenantId, service, ['not_configured', 'refused'])
  })
}

async function recordFailure(
  { database, holds }: VerifyDeps,
  tenantId: string,
  service: string,
  version: string,
  failure: ServiceFailure,
): Promise<CredentialCheck> {
  const { kind } = failure
  const code = cleanText(failure.code, 100)
  const message = cleanText(failure.message, 500)
  const error = { code, message }
  const place = (reason: 'refused' | 'rate_limited', endsAfterMs: number | null) =>
    holds.place({ tenantId, service, reason, code, message, endsAfterMs, credentialVersion: version })
  if (kind === 'refused') {
    await place('refused', null)
    return { tenantId, service, result: 'refused', error }
  }
  if (kind === 'limited') await place('rate_limited', failure.retryAfterMs)
  await whileUnchanged(database, tenantId, service, version, async (client) => {
    await client.query(`UPDATE ${credentialTable(tenantId)} SET last_error = $2 WHERE service_name = $1`, [
      service,
      `${code}: ${message}`,
    ])
  })
  return { tenantId, service, result: 'unknown', error }
}

/** What was found out about credentials says nothing about those that have replaced them. */
async function whileUnchanged(
  database: Database,
  tenantId: string,
  service: string,
  version: string,
  record: (client: Parameters<typeof lockCredentials>[0]) => Promise<void>,
): Promise<void> {
  await explainMissingTenant(tenantId, () =>
    platformTransaction(database, async (client) => {
      await lockCredentials(client, tenantId, service)
      if (versionOf(await readCredentialRows(client, tenantId, service)) === version) await record(client)
    }),
  )
}
