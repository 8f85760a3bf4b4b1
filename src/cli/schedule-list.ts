/** `cgk schedule:list`: what runs by itself, and the next five times of each. */
import { Command } from 'commander'
import type { ListedSchedule } from '../schedules/list.ts'
import { oneToHundred } from './arguments.ts'
import { printJson } from './print.ts'
import { nextText, scheduleColumns } from './schedule-text.ts'
import { withPlatform } from './session.ts'
import { formatTable } from './table.ts'

interface Options {
  tenant?: string
  next: number
  json?: true
}

export const scheduleList = new Command('schedule:list')
  .description('schedules, whose they are, and when they come next')
  .option('--tenant <slug>', 'what holds for this tenant')
  .option('--next <n>', 'next times of each, 1 to 100', oneToHundred, 5)
  .option('--json', 'print JSON')
  .action(async ({ tenant, next: count, json }: Options) => {
    await withPlatform(async ({ schedules }) => {
      const listed = await schedules.list({ count, ...(tenant !== undefined && { tenantId: tenant }) })
      if (json) return printJson(listed)
      console.log(listed.length === 0 ? 'No schedules.' : scheduleTable(listed))
    })
  })

/** A line for each, and below it one for each further time. */
function scheduleTable(listed: readonly ListedSchedule[]): string {
  const lines = listed.flatMap((schedule) => {
    const [first, ...further] = nextText(schedule)
    return [{ schedule, next: first ?? '' }, ...further.map((next) => ({ schedule: null, next }))]
  })
  return formatTable(lines, [
    ...scheduleColumns.map(({ title, value }) => ({
      title,
      value: ({ schedule }: (typeof lines)[number]) => (schedule ? value(schedule) : ''),
    })),
    { title: 'next', value: ({ next }) => next },
  ])
}
