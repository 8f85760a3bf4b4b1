/** Whether there is a database, and one that is new enough. */
import pg from 'pg'
import type { Check } from './check.ts'
import { ok, problem } from './finding.ts'

const oldest = 150_000

export const reachable: Check = {
  name: 'database',
  async look({ database }) {
    let version: { number: number; text: string; name: string }
    try {
      const { rows } = await database.query<typeof version>(
        `SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS text,
                current_database() AS name`,
      )
      version = rows[0]!
    } catch (error) {
      return [problem(`The database cannot be used: ${reasonOf(error)}.`, adviceFor(error))]
    }
    const found = `The database ${version.name} is on Postgres ${version.text}.`
    if (version.number >= oldest) return [ok(found)]
    return [problem(found, 'The platform needs Postgres 15 or later: upgrade the server.')]
  },
}

/** One attempt per address of a name: the aggregate itself has no message. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}

function adviceFor(error: unknown): string {
  const code = error instanceof pg.DatabaseError ? (error.code ?? '') : ''
  if (code.startsWith('28')) return 'Check the login and the password in DATABASE_URL.'
  if (code === '3D000') return 'Create the database, or correct its name in DATABASE_URL.'
  if (code === '53300')
    return 'Raise max_connections of the server, or lower JOBS_POOL_SIZE of the processes.'
  return 'Check DATABASE_URL, and that the server runs and can be reached from here.'
}
