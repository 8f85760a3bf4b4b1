/**
 * Upkeep of platform_failure_counts: rows that settlements have added become one for each hour, and after a week one
 * for all the hours before. Two who do it at once add up what each of them has taken out.
 */
import type { Database } from '../db/database.ts'

const keptByTheHour = `interval '7 days'`

/** `hour` is that of the row that stands for those `taken`. */
const addUp = (hour: string) => `
  INSERT INTO public.platform_failure_counts
    (fingerprint, hour, tenant_id, failures, first_at, last_at, message, run_id)
  SELECT fingerprint, ${hour}, tenant_id, sum(failures), min(first_at), max(last_at),
    (array_agg(message ORDER BY last_at DESC))[1], (array_agg(run_id ORDER BY last_at DESC))[1]
  FROM taken GROUP BY fingerprint, ${hour}, tenant_id`

/** Index: platform_failure_counts_hour, _group. */
const addUpHoursSql = `
  WITH scattered AS (
    SELECT fingerprint, hour, tenant_id FROM public.platform_failure_counts
    WHERE hour > now() - interval '3 hours' GROUP BY fingerprint, hour, tenant_id HAVING count(*) > 1
  ),
  taken AS (
    DELETE FROM public.platform_failure_counts AS one USING scattered
    WHERE one.fingerprint = scattered.fingerprint AND one.hour = scattered.hour AND one.tenant_id = scattered.tenant_id
    RETURNING one.*
  )
  ${addUp('hour')}`

const addUpOldSql = `
  WITH old AS (
    SELECT DISTINCT fingerprint, tenant_id FROM public.platform_failure_counts
    WHERE hour > '-infinity' AND hour < now() - ${keptByTheHour} LIMIT 1000
  ),
  taken AS (
    DELETE FROM public.platform_failure_counts AS one USING old
    WHERE one.fingerprint = old.fingerprint AND one.tenant_id = old.tenant_id AND one.hour < now() - ${keptByTheHour}
    RETURNING one.*
  )
  ${addUp(`'-infinity'::timestamptz`)}`

export async function addUpFailures(database: Database): Promise<void> {
  await database.query(addUpHoursSql)
  await database.query(addUpOldSql)
}
