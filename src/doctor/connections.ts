/** Whether the server has room for the connections of this process. */
import type { Config } from '../config.ts'
import type { Check } from './check.ts'
import { ok, problem, warning } from './finding.ts'

interface Room {
  /** Of the server, without those it reserves for superusers; of the database; of the login. */
  limit: number
  used: number
}

/** -1 is no limit. Of other logins' sessions one without rights sees that they are there, and no more. */
const roomSql = `
  SELECT least(
           current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0),
           nullif(d.datconnlimit, -1),
           nullif(r.rolconnlimit, -1)
         ) AS limit,
         (SELECT count(*)::int FROM pg_catalog.pg_stat_activity 
           WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend') AS used
    FROM pg_catalog.pg_database d, pg_catalog.pg_roles r
   WHERE d.datname = current_database() AND r.rolname = current_user`

/** One to listen, and one that calls to hear whether it does. */
const listening = 2

export const connections: Check = {
  name: 'connections',
  async look({ config, database }) {
    const { rows } = await database.query<Room>(roomSql)
    const { limit, used } = rows[0]!
    const needed = config.poolSize + listening + (await queueConnectionsOf(config))
    const need = `a worker opens up to ${needed}`
    if (limit < needed) {
      return [
        problem(
          `The server takes ${limit} connections, and ${need}.`,
          'Raise max_connections (or the limit of the database or login), or lower JOBS_POOL_SIZE.',
        ),
      ]
    }
    const free = limit - used
    const found = `${used} of ${limit} connections are in use, and ${need}.`
    if (free >= needed) return [ok(found)]
    return [
      warning(
        found,
        'Lower JOBS_POOL_SIZE of the processes, raise max_connections, or put a PgBouncer in between.',
      ),
    ]
  },
}

async function queueConnectionsOf({ engine }: Config): Promise<number> {
  if (engine !== 'pg-boss') return 0
  return (await import('../engines/pg-boss/connections.ts')).queueConnections
}
