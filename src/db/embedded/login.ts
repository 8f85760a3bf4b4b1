/**
 * The login the platform uses, and its database. It is no superuser, as it would not be one on a hosted Postgres: it
 * owns the database `jobs` and may create roles (one per tenant).
 */
import { Client } from 'pg'
import { EmbeddedPostgresError } from '../../errors.ts'

/** Run at every start, so that a start that was killed half-way is finished by the next. */
export async function makeLoginOnce(
  adminUrl: string,
  password: string,
  createDatabases: boolean,
): Promise<void> {
  const admin = new Client({ connectionString: adminUrl })
  admin.on('error', () => {}) // A lost connection fails the query as well; unheard, the event would end the process.
  try {
    await admin.connect()
    await makeRole(admin, password, createDatabases)
    await makeDatabase(admin)
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The embedded Postgres runs, but its login "jobs" could not be prepared: ${(error as Error).message}. If the passwords file was changed, restore it, or move the folder away to start empty.`,
      { cause: error },
    )
  } finally {
    await admin.end().catch(() => {})
  }
}

async function makeRole(admin: Client, password: string, createDatabases: boolean): Promise<void> {
  const { rows } = await admin.query("SELECT rolcreatedb FROM pg_roles WHERE rolname = 'jobs'")
  if (rows.length === 0)
    await admin.query(`CREATE ROLE jobs LOGIN CREATEROLE PASSWORD ${admin.escapeLiteral(password)}`)
  // Only ever granted: another process may be using it.
  if (createDatabases && !rows[0]?.rolcreatedb) await admin.query('ALTER ROLE jobs CREATEDB')
}

async function makeDatabase(admin: Client): Promise<void> {
  const { rowCount } = await admin.query("SELECT FROM pg_database WHERE datname = 'jobs'")
  if (!rowCount) await admin.query('CREATE DATABASE jobs OWNER jobs')
}
