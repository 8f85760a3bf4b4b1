/** Which ticks are of schedules that a registry has: its process can hand them out. Others are left to others. */
import type { SqlTag, Statement } from '../db/statement.ts'
import type { TaskRegistry } from '../task/registry.ts'
import { declaredSchedules } from './schedule.ts'

export function isKnown(sql: SqlTag, registry: TaskRegistry): Statement<never> {
  const declared = declaredSchedules(registry)
  return sql`
    ((task_id, key) IN (
      SELECT * FROM unnest(
        ${declared.map(({ taskId }) => taskId)}::text[], ${declared.map(({ key }) => key)}::text[]))
    OR declared_cron IS NULL AND task_id = ANY(${registry.list().map(({ id }) => id)}::text[]))`
}
