/** Placing a hold, for as long as the credential it is about is the one that was tried. */
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
import { endsInMs, type HoldReason, holdChannel } from './hold.ts'

export interface HoldRequest {
  tenantId: string
  service: string
  reason: HoldReason
  code: string
  message: string
  /** Milliseconds until it ends by itself; null: it does not. */
  endsAfterMs: number | null
  /** The version of the credentials that the run used. */
  credentialVersion: string
}

/**
 * A hold that stands is only ever made stronger: a refused credential outweighs a limit, a later end an earlier one.
 * One that is over begins anew.
 */
const placeSql = `
  INSERT INTO public.platform_holds AS standing (tenant_id, service, reason, code, message, until)
  VALUES ($1, $2, $3, $4, $5, now() + $6::float8 * interval '1 millisecond')
  ON CONFLICT (tenant_id, service) DO UPDATE SET
    (reason, code, message, until, placed_at, lifted_at, released) = (
      SELECT
        CASE WHEN stays THEN standing.reason ELSE excluded.reason END,
        CASE WHEN stays THEN standing.code ELSE excluded.code END,
        CASE WHEN stays THEN standing.message ELSE excluded.message END,
        CASE WHEN stays THEN standing.until ELSE excluded.until END,
        CASE WHEN stays THEN standing.placed_at ELSE now() END,
        NULL::timestamptz,
        CASE WHEN stays THEN standing.released ELSE 0 END
      FROM (
        SELECT standing.lifted_at IS NULL
          AND (standing.until IS NULL OR (standing.until > now() AND standing.until >= excluded.until)) AS stays
      ) AS verdict
    )
  RETURNING ${endsInMs} AS "endsInMs"`

/** What providers say may be as long as they like, and every run that waits repeats it. */
const longest = { code: 100, message: 500 }

/**
 * In how many milliseconds the hold ends (null: not by itself); undefined when the credential was replaced meanwhile:
 * nothing is held.
 */
export async function placeHold(
  database: Database,
  request: HoldRequest,
): Promise<number | null | undefined> {
  const { tenantId, service, reason, endsAfterMs, credentialVersion } = request
  const code = cleanText(request.code, longest.code)
  const message = cleanText(request.message, longest.message)
  return await explainMissingTenant(tenantId, () =>
    platformTransaction(database, async (client) => {
      await lockCredentials(client, tenantId, service)
      const rows = await readCredentialRows(client, tenantId, service)
      if (versionOf(rows) !== credentialVersion) return undefined
      const values = [tenantId, service, reason, code, message, endsAfterMs]
      const placed = await client.query<{ endsInMs: number | null }>(placeSql, values)
      if (reason === 'refused') {
        await client.query(
          `UPDATE ${credentialTable(tenantId)} SET status = 'invalid', last_error = $2 WHERE service_name = $1`,
          [service, `${code}: ${message}`],
        )
      }
      await client.query('SELECT pg_notify($1, $2)', [holdChannel, `${tenantId} ${service}`])
      return placed.rows[0]!.endsInMs
    }),
  )
}
