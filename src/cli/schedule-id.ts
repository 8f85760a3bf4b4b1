/** What a schedule is called in the audit log, however it was typed. */
import { parseScheduleId, scheduleId } from '../schedules/schedule.ts'

export function fullScheduleId(name: string): string {
  return scheduleId(parseScheduleId(name))
}
