/**
 * Rotation: every credential that is not encrypted with the current key is encrypted anew. Workers go on meanwhile, for
 * every key of the ring decrypts. Cut off, it is resumed by running it again: what is done is passed over.
 */
import type { Database } from '../db/database.ts'
import { decrypt, encrypt, keyIdOf } from './encryption.ts'
import type { KeyRings } from './key-rings.ts'
import { type CredentialRow, credentialTable, explainMissingTenant, readCredentialRows } from './rows.ts'

export interface Rotation {
  tenantId: string
  /** Encrypted anew. */
  rotated: number
  /** Were encrypted with the current key already. */
  current: number
  /** Could not be decrypted, and are as they were. */
  failed: { service: string; key: string; error: Error }[]
}

/** One tenant. What somebody changes meanwhile stays as they set it, which is with the current key. */
export async function rotateCredentials(
  { database, keys }: { database: Database; keys: KeyRings },
  tenantId: string,
): Promise<Rotation> {
  const rotation: Rotation = { tenantId, rotated: 0, current: 0, failed: [] }
  for (const row of await readCredentialRows(database, tenantId)) {
    try {
      if (await rotateOne(database, keys, tenantId, row)) rotation.rotated += 1
      else rotation.current += 1
    } catch (error) {
      rotation.failed.push({ service: row.service, key: row.key, error: error as Error })
    }
  }
  return rotation
}

async function rotateOne(
  database: Database,
  keys: KeyRings,
  tenantId: string,
  { service, key, encrypted }: CredentialRow,
): Promise<boolean> {
  const place = { tenantId, service, key }
  const ring = keys.of(service)
  if (keyIdOf(encrypted, place) === ring.current.id) return false
  const anew = encrypt(decrypt(encrypted, place, ring), place, ring)
  await explainMissingTenant(tenantId, () =>
    database.query(
      `UPDATE ${credentialTable(tenantId)} SET encrypted_value = $3
       WHERE service_name = $1 AND credential_key = $2 AND encrypted_value = $4`,
      [service, key, anew, encrypted],
    ),
  )
  return true
}
