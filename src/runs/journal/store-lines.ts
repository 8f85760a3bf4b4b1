/** Storing what runs wrote, for many runs in one statement, and forgetting of each what is older than its bounds. */
import type { Database } from '../../db/database.ts'
import { maxLines, maxSize } from './bounds.ts'
import type { Written } from './buffer.ts'
import { contentOf } from './line.ts'

/** Announces the id of a run that has new lines. */
export const linesChannel = 'cgk_run_logs'

/**
 * The row of the run is locked first, so that lines of two workers, of which one has lost the run, come one behind the
 * other. The lock on the tenant's row lets none come behind its deletion.
 *
 * Index: the primary keys. The switches leave the planner no other way where statistics are old.
 */
const storeSql = `
  WITH tenant AS (
    SELECT slug FROM public.organizations WHERE slug = ANY($2::text[]) FOR KEY SHARE
  ),
  written AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) AS written (run_id, tenant_id, count, size)
    WHERE tenant_id IN (SELECT slug FROM tenant)
  ),
  head AS (
    INSERT INTO public.platform_run_log_heads AS head (run_id, tenant_id, seq, size, flush)
    SELECT run_id, tenant_id, count, size, $5 FROM written ORDER BY run_id
    ON CONFLICT (run_id) DO UPDATE SET seq = head.seq + excluded.seq, size = head.size + excluded.size, flush = $5
      WHERE head.flush <> $5
    RETURNING run_id, tenant_id, seq, size
  ),
  outgrown AS (
    DELETE FROM public.platform_run_logs line USING head
    WHERE line.run_id = head.run_id AND (head.seq > ${maxLines} OR head.size > ${maxSize})
      AND (line.seq <= head.seq - ${maxLines} OR line.size <= head.size - ${maxSize})
  ),
  line AS (
    INSERT INTO public.platform_run_logs (run_id, tenant_id, seq, size, attempt, level, at, message, fields)
    SELECT run_id, head.tenant_id, head.seq - written.count + line.number, head.size - written.size + line.size,
      line.attempt, line.level, line.at, line.message, line.fields::jsonb
    FROM unnest($6::uuid[], $7::bigint[], $8::bigint[], $9::int[], $10::smallint[], $11::timestamptz[], $12::text[], $13::text[])
      AS line (run_id, number, size, attempt, level, at, message, fields)
    JOIN head USING (run_id) JOIN written USING (run_id)
  )
  SELECT pg_notify('${linesChannel}', run_id::text) FROM head`

const byPrimaryKey = ['enable_seqscan', 'off', 'enable_hashjoin', 'off', 'enable_mergejoin', 'off']

/** The largest smallint; levels of one's own may be anything. */
const highestLevel = 32_767

/** With the same `flush` again, after an answer was lost, it does nothing. */
export async function storeLines(
  database: Database,
  written: readonly Written[],
  flush: string,
): Promise<void> {
  const lines = written.flatMap((one) => one.lines)
  const contents = lines.map(({ json, run }) => contentOf(json, run))
  await database.queryWith(byPrimaryKey, storeSql, [
    written.map(({ runId }) => runId),
    written.map(({ tenantId }) => tenantId),
    written.map(({ count }) => count),
    written.map(({ size }) => size),
    flush,
    lines.map(({ run }) => run.runId),
    lines.map(({ number }) => number),
    lines.map(({ size }) => size),
    lines.map(({ run }) => run.attempt),
    lines.map(({ level }) => Math.round(Math.max(0, Math.min(level, highestLevel)))),
    lines.map(({ at }) => at),
    contents.map(({ message }) => message),
    contents.map(({ fields }) => fields),
  ])
}
