/** Entries of email_queue, as the tests of the email tasks need them. */
import { sql, withTenant } from '../../../src/default-platform.ts'
import { add, addCreator, find } from '../rows.ts'

type Fields = Record<string, unknown>

let count = 0

/** A welcome to a creator, due now, unless the fields say otherwise. Answers its id. */
export async function addEmail(tenantId: string, fields: Fields = {}): Promise<string> {
  const number = ++count
  const defaults = {
    kind: 'creator',
    recipient: `c${number}@x.test`,
    subject: 'Welcome',
    template: 'creator-welcome',
    dedupe_key: `test:${number}`,
  }
  const data = fields.data ?? { creatorId: await addCreator(tenantId, { first_name: 'Ada' }) }
  return await add(tenantId, 'email_queue', { ...defaults, ...fields, data: JSON.stringify(data) })
}

/** A claimed one, as email/process-queue leaves it. */
export async function addClaimed(tenantId: string, fields: Fields = {}): Promise<string> {
  return await addEmail(tenantId, { status: 'processing', claimed_by_run: 'a run', ...fields })
}

export const entry = (tenantId: string, id: string) => find(tenantId, 'email_queue', id)

export async function entries(tenantId: string, kind: string) {
  const { rows } = await withTenant(
    tenantId,
    // biome-ignore lint/suspicious/noExplicitAny: a row of email_queue.
    () => sql<any>`SELECT * FROM email_queue WHERE kind = ${kind} ORDER BY dedupe_key`,
  )
  return rows
}
