/** pg-boss: its schema, its queues, its workers. */
import type { Database } from '../db/database.ts'
import { testedSchemaVersion } from '../engines/pg-boss/boss.ts'
import { readSchemaVersion } from '../engines/pg-boss/schema-version.ts'
import type { Subject } from './check.ts'
import { count, ok, problem, type Said, some, warning } from './finding.ts'

export async function look({ database, tasks }: Subject): Promise<Said[]> {
  const version = await readSchemaVersion(database)
  if (version === null) {
    return [problem('The queue has no schema in this database yet.', 'Run: cgk migrate')]
  }
  if (version !== testedSchemaVersion) {
    return [
      problem(
        `The queue's schema has version ${version}, and this release works with ${testedSchemaVersion}.`,
        version < testedSchemaVersion ? 'Run: cgk migrate' : 'Deploy the newer release everywhere.',
      ),
    ]
  }
  const registered = (await tasks.catch(() => [])).map(({ id }) => id)
  return [
    ok(`The queue's schema has version ${version}.`),
    ...(await lookAtQueues(database, registered)),
    await lookForWorkers(database),
  ]
}

async function lookAtQueues(database: Database, registered: readonly string[]): Promise<Said[]> {
  const { rows } = await database.query<{ name: string; known: boolean; waiting: boolean }>(
    `SELECT coalesce(queue.name, task.id) AS name, queue.name IS NOT NULL AS known,
            EXISTS (SELECT FROM pgboss.job WHERE job.name = queue.name AND state < 'active') AS waiting
       FROM pgboss.queue FULL JOIN unnest($1::text[]) AS task (id) ON task.id = queue.name
      WHERE queue.name IS NULL OR task.id IS NULL ORDER BY 1`,
    [registered],
  )
  const missing = rows.filter(({ known }) => !known).map(({ name }) => name)
  const orphans = rows.filter(({ waiting }) => waiting).map(({ name }) => name)
  return [
    missing.length > 0 &&
      warning(
        `${count(missing.length, 'task has', 'tasks have')} no queue yet: ${some(missing)}.`,
        'Start a worker of this release: it makes them.',
      ),
    orphans.length > 0 &&
      warning(
        `Runs wait for tasks that are not registered here: ${some(orphans)}.`,
        'Start a worker that has them; or, if they are gone for good, end their runs with cgk run:cancel.',
      ),
  ].filter((one) => one !== false)
}

/** A worker listens all the time. One that cannot, behind a pooler, still counts its queues once a minute. */
async function lookForWorkers(database: Database): Promise<Said> {
  const { rows } = await database.query<{ listening: number; counted: boolean; due: boolean }>(
    `SELECT (SELECT count(*)::int FROM pg_catalog.pg_stat_activity
              WHERE datname = current_database() AND application_name = 'cgk listen') AS listening,
            EXISTS (SELECT FROM pgboss.queue WHERE monitor_claim_on > now() - interval '3 minutes') AS counted,
            EXISTS (SELECT FROM pgboss.queue, LATERAL (
              SELECT FROM pgboss.job WHERE job.name = queue.name AND state = 'created' AND NOT blocked AND start_after <= now()
              ORDER BY start_after LIMIT 1) AS due) AS due`,
  )
  const { listening, counted, due } = rows[0]!
  if (listening > 0) return ok(`${count(listening, 'worker listens', 'workers listen')} for runs.`)
  if (counted) return ok('A worker has been at work in the last minutes.')
  const todo = 'Start one: cgk worker'
  return due
    ? problem('Runs are due, and no worker has been seen.', todo)
    : warning('No worker has been seen in the last minutes.', todo)
}
