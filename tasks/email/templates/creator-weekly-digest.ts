/** What a creator earned and finished in a week, and what is due in the week after it. */
import { sql } from '@cgk-platform/jobs'
import { z } from 'zod'
import { creatorData, findCreator } from './creator.ts'
import type { Row } from './letter.ts'
import { template } from './template.ts'
import { addDays, count, day, daysFrom, money } from './wording.ts'

export const creatorWeeklyDigest = template(
  /** Monday. */
  creatorData.extend({ weekStart: z.iso.date() }),
  async ({ creatorId, weekStart }, { timezone }) => {
    const creator = await findCreator(creatorId)
    if ('skip' in creator) return creator
    const [earned, projects] = [await findEarnings(), await findProjects()]
    const finished = projects.filter(({ is_finished }) => is_finished)
    const due = projects.filter(({ is_finished }) => !is_finished)

    const { first_name, balance_cents, pending_balance_cents, currency } = creator
    const nothing = earned.length + projects.length + balance_cents + pending_balance_cents === 0
    if (nothing) return { skip: 'nothing happened' }

    return {
      heading: `Your week, ${first_name}`,
      parts: [
        `${daysFrom(weekStart, addDays(weekStart, 6))}.`,
        {
          title: 'Earnings',
          rows: [
            ...earned.map(({ cents, currency: paidIn, orders }): Row => {
              return ['Earned', `${money(cents, paidIn)} from ${count(orders, 'order')}`]
            }),
            ...(earned.length === 0 ? [['Earned', money(0, currency)] as const] : []),
            ['On hold now', money(pending_balance_cents, currency)],
            ['Available now', money(balance_cents, currency)],
          ],
        },
        ...(finished.length > 0 ? [{ title: 'Finished projects', rows: finished.map(asRow) }] : []),
        ...(due.length > 0 ? [{ title: 'Deadlines', rows: due.map(asRow) }] : []),
      ],
    }

    async function findEarnings(): Promise<EarningRow[]> {
      const { rows } = await sql<EarningRow>`
        SELECT currency, sum(commission_cents)::text AS cents, count(*)::int AS orders FROM commissions
        WHERE creator_id = ${creatorId} AND status <> 'rejected'
          AND created_at >= ${weekStart}::date::timestamp AT TIME ZONE ${timezone}
          AND created_at < (${weekStart}::date + 7)::timestamp AT TIME ZONE ${timezone}
        GROUP BY currency ORDER BY currency`
      return rows
    }

    /** Finished in the week; or still open and due by the end of the next one, late ones included. */
    async function findProjects(): Promise<ProjectRow[]> {
      const { rows } = await sql<ProjectRow>`
        SELECT title, due_date::text AS due_date, status = 'completed' AS is_finished
        FROM creator_projects
        WHERE creator_id = ${creatorId} AND (
          (status = 'completed' AND completed_at >= ${weekStart}::date::timestamp AT TIME ZONE ${timezone}
            AND completed_at < (${weekStart}::date + 7)::timestamp AT TIME ZONE ${timezone})
          OR (status NOT IN ('completed', 'cancelled') AND due_date < ${weekStart}::date + 14)
        )
        ORDER BY due_date, id LIMIT 100`
      return rows
    }
  },
)

interface EarningRow {
  currency: string
  /** A sum may be larger than an integer of JavaScript. */
  cents: string
  orders: number
}

interface ProjectRow {
  title: string
  due_date: string | null
  is_finished: boolean
}

function asRow({ title, due_date, is_finished }: ProjectRow): Row {
  if (is_finished) return [title, 'finished']
  return [title, due_date ? `due ${day(due_date)}` : 'no deadline']
}
