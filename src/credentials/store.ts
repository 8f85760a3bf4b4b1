/** Setting, deleting and listing a tenant's credentials. A value goes in and never comes out of here. */
import type { Database } from '../db/database.ts'
import { platformTransaction } from '../db/platform-transaction.ts'
import { holdReasons } from '../holds/hold.ts'
import { liftHold } from '../holds/lift.ts'
import { rememberSecret } from '../redact.ts'
import { decrypt, encrypt } from './encryption.ts'
import type { KeyRings } from './key-rings.ts'
import {
  type CredentialRow,
  credentialTable,
  explainMissingTenant,
  lockCredentials,
  readCredentialRows,
} from './rows.ts'

export interface CredentialStoreDeps {
  database: Database
  keys: KeyRings
}

/** Announces `<tenant> <service>` when its credentials have changed; sent in the transaction of the change. */
export const credentialChannel = 'cgk_credentials'

/** A credential as it may be shown. */
export interface CredentialInfo {
  service: string
  key: string
  /** `invalid`: the provider refused it; runs that need the service are held. */
  status: 'active' | 'invalid'
  /** The value's last four characters, to tell values apart; null where it is too short to show any, or unreadable. */
  lastFour: string | null
  lastVerifiedAt: Date | null
  lastError: string | null
  createdAt: Date
  updatedAt: Date
}

const upsertSql = (tenantId: string) => `
  INSERT INTO ${credentialTable(tenantId)} (service_name, credential_key, encrypted_value)
  SELECT $1, asked.key, asked.encrypted FROM unnest($2::text[], $3::text[]) AS asked (key, encrypted)
  ON CONFLICT (service_name, credential_key) DO UPDATE SET encrypted_value = excluded.encrypted_value`

/**
 * Stores the values in one transaction, replacing those that are there. Once all of `required` are there, every
 * credential of the service counts as good again, and what was held because of it goes on.
 */
export async function storeCredentials(
  { database, keys }: CredentialStoreDeps,
  tenantId: string,
  service: string,
  values: Readonly<Record<string, string>>,
  required: readonly string[],
): Promise<void> {
  const ring = keys.of(service)
  const encrypted = Object.entries(values).map(([key, value]) =>
    encrypt(value, { tenantId, service, key }, ring),
  )
  await explainMissingTenant(tenantId, () =>
    platformTransaction(database, async (client) => {
      await lockCredentials(client, tenantId, service)
      await client.query(upsertSql(tenantId), [service, Object.keys(values), encrypted])
      const there = new Set((await readCredentialRows(client, tenantId, service)).map(({ key }) => key))
      const makesClient = Object.keys(values).some((key) => required.includes(key))
      if (makesClient && required.every((key) => there.has(key))) {
        await client.query(
          `UPDATE ${credentialTable(tenantId)} SET status = 'active', last_error = NULL WHERE service_name = $1`,
          [service],
        )
        await liftHold(client, tenantId, service, holdReasons)
      }
      await client.query('SELECT pg_notify($1, $2)', [credentialChannel, `${tenantId} ${service}`])
    }),
  )
}

/** False: there was none. */
export async function deleteCredential(
  { database }: Pick<CredentialStoreDeps, 'database'>,
  tenantId: string,
  service: string,
  key: string,
): Promise<boolean> {
  return await explainMissingTenant(tenantId, () =>
    platformTransaction(database, async (client) => {
      await lockCredentials(client, tenantId, service)
      const { rowCount } = await client.query(
        `DELETE FROM ${credentialTable(tenantId)} WHERE service_name = $1 AND credential_key = $2`,
        [service, key],
      )
      await client.query('SELECT pg_notify($1, $2)', [credentialChannel, `${tenantId} ${service}`])
      return rowCount === 1
    }),
  )
}

export async function listCredentials(
  { database, keys }: CredentialStoreDeps,
  tenantId: string,
): Promise<CredentialInfo[]> {
  const rows = await readCredentialRows(database, tenantId)
  return rows.map(({ encrypted, ...row }) => ({
    ...row,
    lastFour: lastFour({ ...row, encrypted }, tenantId, keys),
  }))
}

/** Of a value that short, four characters would be too much to show. */
const shortestShown = 12

function lastFour(
  { service, key, encrypted }: CredentialRow,
  tenantId: string,
  keys: KeyRings,
): string | null {
  try {
    const value = decrypt(encrypted, { tenantId, service, key }, keys.of(service))
    rememberSecret(value)
    return value.length < shortestShown ? null : value.slice(-4)
  } catch {
    // Whoever uses it gets the error; a list shows what it can.
    return null
  }
}
