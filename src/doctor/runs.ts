/** Runs that ought to have gone on: those of silent workers, and those that wait for long. */
import type { Database } from '../db/database.ts'
import type { Check } from './check.ts'
import { count, orOk, problem, some, warning } from './finding.ts'

/** Workers take back what has been silent for ten seconds; what is silent for longer, nobody does. */
const silentSeconds = 60
const longMs = 15 * 60_000

export const runs: Check = {
  name: 'runs',
  async look({ config, database }) {
    if (config.engine !== 'pg-boss') return []
    const [lost, { readBacklog }] = await Promise.all([
      countLost(database),
      import('../engines/pg-boss/backlog.ts'),
    ])
    const waiting = (await readBacklog(database, await queues(database))).filter(
      ({ ageMs }) => ageMs > longMs,
    )
    return orOk(
      [
        lost.length > 0 &&
          problem(
            `Nobody takes back the runs that a silent worker has left: ${some(lost.map(({ taskId, runs }) => `${runs} of ${taskId}`))}.`,
            'Start a worker that has these tasks: cgk worker',
          ),
        waiting.length > 0 &&
          warning(
            `Runs have been due for long: ${some(waiting.map(({ taskId, depth, ageMs }) => `${depth} of ${taskId}, the oldest for ${Math.round(ageMs / 60_000)} min`))}.`,
            'Start more workers, or raise JOBS_CONCURRENCY; a limit per tenant may be what they wait for.',
          ),
      ],
      `No run is lost, and none has been due for more than ${count(longMs / 60_000, 'minute')}.`,
    )
  },
}

async function queues(database: Database): Promise<string[]> {
  const { rows } = await database.query<{ name: string }>('SELECT name FROM pgboss.queue ORDER BY name')
  return rows.map(({ name }) => name)
}

/** Index: job_i7 (name, group_id) where active. */
async function countLost(database: Database): Promise<{ taskId: string; runs: number }[]> {
  const { rows } = await database.query<{ taskId: string; runs: number }>(
    `SELECT name AS "taskId", count(*)::int AS runs FROM pgboss.job
      WHERE state = 'active' AND group_id IS NOT NULL
        AND heartbeat_on < clock_timestamp() - interval '${silentSeconds} seconds'
      GROUP BY name ORDER BY name`,
  )
  return rows
}
