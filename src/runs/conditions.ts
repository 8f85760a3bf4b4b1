/** A filter as conditions on rows with the columns of a run, wherever they lie. */
import type { RunFilter } from '../engines/engine.ts'
import { idRange, readCursor } from './filter.ts'

/** Adds a parameter, and answers what stands for it in the text. */
export type Bind = (value: unknown) => string

/** What a run must be. `run` is the alias of its row. */
export function contentConditions(filter: Partial<RunFilter>, bind: Bind): string[] {
  const { tenantId, taskId, states, tag, fingerprint, errorText, idPrefix, triggeredBy, replayOf } = filter
  const conditions: string[] = []
  if (tenantId !== undefined) conditions.push(`run.tenant_id = ${bind(tenantId)}`)
  if (taskId !== undefined) conditions.push(`run.task_id = ${bind(taskId)}`)
  if (states !== undefined) conditions.push(`run.state = ANY(${bind(states)}::text[])`)
  if (tag !== undefined) conditions.push(`run.tags @> ARRAY[${bind(tag)}]`)
  if (fingerprint !== undefined) conditions.push(`run.fingerprint = ${bind(fingerprint)}`)
  if (errorText !== undefined) conditions.push(`run.error->>'message' ILIKE ${bind(containing(errorText))}`)
  if (triggeredBy !== undefined) conditions.push(`run.triggered_by = ${bind(triggeredBy.kind)}`)
  if (triggeredBy?.ref !== undefined) conditions.push(`run.triggered_ref = ${bind(triggeredBy.ref)}`)
  if (replayOf !== undefined) conditions.push(`run.replay_of = ${bind(replayOf)}`)
  if (idPrefix !== undefined) {
    const [first, last] = idRange(idPrefix)
    conditions.push(`run.id BETWEEN ${bind(first)}::uuid AND ${bind(last)}::uuid`)
  }
  return conditions
}

/** The filter without some of its parts: what a way into a table sees to itself. */
export function without<Part extends keyof RunFilter>(
  filter: Partial<RunFilter>,
  parts: readonly Part[],
): Partial<Omit<RunFilter, Part>> {
  return Object.fromEntries(
    Object.entries(filter).filter(([name]) => !(parts as readonly string[]).includes(name)),
  ) as Partial<Omit<RunFilter, Part>>
}

/** When it must have been created, and that it comes after the page before. */
export function pageConditions(
  { from, to, after }: RunFilter,
  bind: Bind,
  { createdAt, id }: { createdAt: string; id: string },
): string[] {
  const conditions: string[] = []
  if (from !== undefined) conditions.push(`${createdAt} >= ${bind(from)}::timestamptz`)
  if (to !== undefined) conditions.push(`${createdAt} < ${bind(to)}::timestamptz`)
  if (after !== undefined) {
    const cursor = readCursor(after)
    const at = `${bind(cursor.createdAt)}::timestamptz`
    // The first one bounds a scan that the second, on its own, only filters.
    conditions.push(`${createdAt} <= ${at}`, `(${createdAt}, ${id}) < (${at}, ${bind(cursor.id)}::uuid)`)
  }
  return conditions
}

function containing(text: string): string {
  return `%${text.replace(/[\\%_]/g, '\\$&')}%`
}
