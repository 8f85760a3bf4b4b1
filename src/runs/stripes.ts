/**
 * The stripes of public.platform_runs: what has the same task, state and kind of trigger. Stepping from one to the next
 * costs one probe of the index each, however many runs they have.
 */

/** A SELECT of those there are, of a tenant, of a task, or of all. `within` are conditions on these two columns. */
export function selectStripes(within: readonly string[], ofOneTask: boolean): string {
  const free = ofOneTask ? ['state', 'triggered_by'] : ['task_id', 'state', 'triggered_by']
  const next = (conditions: readonly string[]) => `
    SELECT task_id, state, triggered_by FROM public.platform_runs
    ${conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''}
    ORDER BY ${free.join(', ')} LIMIT 1`
  const behind = `(${free.join(', ')}) > (${free.map((column) => `stripe.${column}`).join(', ')})`
  return `
    WITH RECURSIVE stripe AS (
      (${next(within)})
      UNION ALL
      SELECT next.* FROM stripe CROSS JOIN LATERAL (${next([...within, behind])}) AS next
    )
    SELECT task_id, state, triggered_by FROM stripe`
}
