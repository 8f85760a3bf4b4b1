/** Whether the server has room for the connections of this process. */
import type { Config } from '../config.ts'
import type { Check } from './check.ts'
import { ok, problem, warning } from './finding.ts'

/** Whatever has the least room: the server, the database, or the login. */
interface Room {
  of: 'server' | 'database' | 'login'
  limit: number
  used: number
}

/** -1 is no limit. Of other logins' sessions, one without rights sees that they are there and no more. */
const roomSql = `
  WITH session AS (
    SELECT datid, usesysid FROM pg_catalog.pg_stat_activity
    WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
  ),
  room AS (
    SELECT 'server' AS of,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS limit,
      (SELECT count(*)::int FROM session) AS used
    UNION ALL
    SELECT 'database', datconnlimit, (SELECT count(*)::int FROM session WHERE datid = d.oid)
    FROM pg_catalog.pg_database d WHERE datname = current_database()
    UNION ALL
    SELECT 'login', rolconnlimit, (SELECT count(*)::int FROM session WHERE usesysid = r.oid)
    FROM pg_catalog.pg_roles r WHERE rolname = current_user
  )
  SELECT of, "limit", used FROM room WHERE "limit" >= 0 ORDER BY "limit" - used LIMIT 1`

/** One to listen, and one that calls to hear whether it does. */
const listening = 2

export const connections: Check = {
  name: 'connections',
  async look({ config, database }) {
    const { rows } = await database.query<Room>(roomSql)
    const { of, limit, used } = rows[0]!
    const needed = config.poolSize + listening + (await queueConnectionsOf(config))
    const need = `a worker opens up to ${needed}`
    if (limit < needed) {
      return [
        problem(
          `The ${of} has ${limit} connections, and ${need}.`,
          'Raise max_connections (or the limit of the database or login), or lower JOBS_POOL_SIZE.',
        ),
      ]
    }
    const free = limit - used
    const found = `${used} of ${limit} connections of the ${of} are in use, and ${need}.`
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
