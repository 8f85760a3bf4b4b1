/** Forgetting what runs wrote, when the runs themselves are forgotten. */

/** A database, or one connection with a transaction of the platform's. */
export interface Queryable {
  query(text: string, values: unknown[]): Promise<unknown>
}

/** Index: the primary keys. */
const forgetSql = `
  WITH lines AS (DELETE FROM public.platform_run_logs WHERE run_id = ANY($1::uuid[])),
    heads AS (DELETE FROM public.platform_run_log_heads WHERE run_id = ANY($1::uuid[]))
  DELETE FROM public.platform_run_progress WHERE run_id = ANY($1::uuid[])`

/** The logs and the progress of these runs, in the caller's transaction. Runs that have none are no error. */
export async function forgetLogs(runIds: readonly string[], tx: Queryable): Promise<void> {
  await tx.query(forgetSql, [runIds])
}
