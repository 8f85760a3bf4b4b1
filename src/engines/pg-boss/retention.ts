/** Deleting what the platform keeps beside pg-boss and nobody will ask for again. pg-boss deletes its own jobs. */
import type { Database } from '../../db/database.ts'

const failedRetentionSeconds = 90 * 86_400

/** In portions, so that a long pause of all workers does not end in one huge transaction. Index: expires_at. */
const expiredKeysSql = `
  DELETE FROM public.platform_idempotency_keys WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_idempotency_keys WHERE expires_at < now() LIMIT 10000))`

/** As long as the failed runs they belong to. Index: finished_at. */
const oldAttemptsSql = `
  DELETE FROM public.platform_attempts WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_attempts
    WHERE finished_at < now() - interval '${failedRetentionSeconds} seconds' LIMIT 10000))`

/** No provider sends an event again after so long. Index: received_at. */
const oldEventsSql = `
  DELETE FROM public.platform_webhook_events WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM public.platform_webhook_events WHERE received_at < now() - interval '30 days' LIMIT 10000))`

export async function deleteOutdated(queue: Database): Promise<void> {
  await queue.query(expiredKeysSql)
  await queue.query(oldAttemptsSql)
  await queue.query(oldEventsSql)
}
