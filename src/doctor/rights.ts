/** What the platform's own login may do: create schemas, tables and roles, and no more. */
import { quoteIdentifier } from '../db/statement.ts'
import type { Check } from './check.ts'
import { orOk, problem, warning } from './finding.ts'

interface Login {
  login: string
  database: string
  superuser: boolean
  mayCreateRoles: boolean
  mayCreateSchemas: boolean
  mayCreateTables: boolean
}

export const rights: Check = {
  name: 'rights',
  async look({ database }) {
    const { rows } = await database.query<Login>(
      `SELECT current_user AS login, current_database() AS database, rolsuper AS superuser,
              rolcreaterole OR rolsuper AS "mayCreateRoles",
              has_database_privilege(current_database(), 'CREATE') AS "mayCreateSchemas",
              has_schema_privilege('public', 'CREATE') AS "mayCreateTables"
         FROM pg_catalog.pg_roles WHERE rolname = current_user`,
    )
    const found = rows[0]!
    const login = quoteIdentifier(found.login)
    return orOk(
      [
        found.superuser &&
          warning(
            `The login ${found.login} is a superuser, and the platform needs none.`,
            'Give it a login of its own: CREATE ROLE jobs LOGIN CREATEROLE, with CREATE on the database and on the schema public.',
          ),
        !found.mayCreateRoles &&
          problem(
            `The login ${found.login} may not create roles, so no tenant can be made.`,
            `Run as a superuser: ALTER ROLE ${login} CREATEROLE`,
          ),
        !found.mayCreateSchemas &&
          problem(
            `The login ${found.login} may not create schemas, so no tenant can be made.`,
            `Run as the database owner: GRANT CREATE ON DATABASE ${quoteIdentifier(found.database)} TO ${login}`,
          ),
        !found.mayCreateTables &&
          problem(
            `The login ${found.login} may not create tables in public, so the platform cannot be migrated.`,
            `Run as the database owner: GRANT CREATE ON SCHEMA public TO ${login}`,
          ),
      ],
      `The login ${found.login} may create schemas, tables and roles, and is no superuser.`,
    )
  },
}
