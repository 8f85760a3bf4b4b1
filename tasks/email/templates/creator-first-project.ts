import { sql } from '@cgk-platform/jobs'
import { creatorData, findCreator } from './creator.ts'
import { template } from './template.ts'
import { day, money } from './wording.ts'

export const creatorFirstProject = template(creatorData, async ({ creatorId }) => {
  const creator = await findCreator(creatorId)
  if ('skip' in creator) return creator
  const projects = await sql<ProjectRow>`
    SELECT title, due_date::text AS due_date, payment_cents FROM creator_projects
    WHERE creator_id = ${creatorId} AND status IN ('draft', 'submitted', 'in_review', 'revision_requested', 'approved')
    ORDER BY due_date, id LIMIT 10`
  const rows = projects.rows.map(({ title, due_date, payment_cents }) => {
    const due = due_date ? `due ${day(due_date)}` : 'no deadline'
    return [title, payment_cents ? `${due}, ${money(payment_cents, creator.currency)}` : due] as const
  })
  return {
    heading: `Your first project, ${creator.first_name}`,
    parts:
      rows.length > 0
        ? ['This is waiting for you:', { title: 'Your projects', rows }]
        : ['Nothing is waiting for you yet. Answer this email with what you would like to make.'],
  }
})

interface ProjectRow {
  title: string
  due_date: string | null
  payment_cents: number | null
}
