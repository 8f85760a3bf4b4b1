/** Rows of a tenant, as a test of a task needs them. */
import { expect } from 'vitest'
import { sql, withTenant } from '../../src/default-platform.ts'

type Fields = Record<string, unknown>

let count = 0

/** A paid order of 100.00 USD unless the fields say otherwise. Answers its id. */
export async function addOrder(tenantId: string, fields: Fields = {}): Promise<string> {
  const defaults = { order_number: `#${++count}`, financial_status: 'paid', subtotal_cents: 10_000 }
  return await add(tenantId, 'orders', { ...defaults, ...fields })
}

/** An active creator paid in USD. Answers its id. */
export async function addCreator(tenantId: string, fields: Fields = {}): Promise<string> {
  const defaults = { email: `c${++count}@x.test`, first_name: 'A', last_name: 'B', status: 'active' }
  return await add(tenantId, 'creators', { ...defaults, ...fields })
}

export async function add(tenantId: string, table: string, fields: Fields): Promise<string> {
  const columns = sql.join(Object.keys(fields).map((column) => sql.identifier(column)))
  const { rows } = await withTenant(
    tenantId,
    () => sql<{ id: string }>`
      INSERT INTO ${sql.identifier(table)} (${columns}) VALUES (${sql.join(Object.values(fields))}) RETURNING id`,
  )
  return rows[0]!.id
}

// biome-ignore lint/suspicious/noExplicitAny: a row has the columns of whatever table was asked.
export async function find(tenantId: string, table: string, id: string): Promise<any> {
  const { rows } = await withTenant(
    tenantId,
    () => sql`SELECT * FROM ${sql.identifier(table)} WHERE id = ${id}`,
  )
  return rows[0]
}

export async function set(
  tenantId: string,
  table: string,
  id: string,
  column: string,
  value: unknown,
): Promise<void> {
  await withTenant(
    tenantId,
    () => sql`UPDATE ${sql.identifier(table)} SET ${sql.identifier(column)} = ${value} WHERE id = ${id}`,
  )
}

/** Every balance is the sum of its ledger rows, and each ledger row shows the balance after it. */
export async function expectLedgerToAgree(tenantId: string): Promise<void> {
  const { rows } = await withTenant(
    tenantId,
    () => sql`
      SELECT creators.id, 'balance' AS wrong FROM creators
      CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_cents) FILTER (WHERE balance = 'pending'), 0) AS pending,
               coalesce(sum(amount_cents) FILTER (WHERE balance = 'available'), 0) AS available
        FROM balance_transactions WHERE creator_id = creators.id
      ) AS ledger
      WHERE (pending, available) IS DISTINCT FROM (pending_balance_cents::bigint, balance_cents::bigint)
      UNION ALL
      SELECT creator_id, 'balance_after_cents' FROM (
        SELECT *, sum(amount_cents) OVER (PARTITION BY creator_id, balance ORDER BY position) AS running
        FROM balance_transactions
      ) AS entry
      WHERE running <> balance_after_cents`,
  )
  expect(rows).toEqual([])
}
