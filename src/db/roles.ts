/**
 * One NOLOGIN role per tenant: the wall behind `SET LOCAL ROLE`. It may read and write rows in its tenant's schema and
 * nothing else: no DDL, no TRUNCATE, no table of `public` or of the queue. Schemas and tables belong to the platform's
 * login, which needs CREATEROLE and CREATE on the database, and no more.
 */
import pg from 'pg'
import { DatabaseSetupError } from '../errors.ts'
import type { Database } from './database.ts'
import { quoteIdentifier } from './statement.ts'

/** What the names and grants of roles depend on. It cannot change while a Database is open. */
export interface Server {
  readonly databaseOid: number
  /** As `server_version_num` has it: 150018, 180004. */
  readonly version: number
}

const servers = new WeakMap<Database, Promise<Server>>()

/** Asks once per Database; a failed question is asked again. */
export function readServer(database: Database): Promise<Server> {
  const known = servers.get(database)
  if (known) return known
  const asked = askServer(database)
  servers.set(database, asked)
  asked.catch(() => servers.delete(database))
  return asked
}

async function askServer(database: Database): Promise<Server> {
  const { rows } = await database.query<{ oid: string; version: string }>(
    `SELECT oid::text, current_setting('server_version_num') AS version
       FROM pg_catalog.pg_database WHERE datname = current_database()`,
  )
  return { databaseOid: Number(rows[0]!.oid), version: Number(rows[0]!.version) }
}

/**
 * Roles belong to the whole cluster, so the name carries the database: two platforms on one server may have a tenant of
 * the same slug. Base 36 keeps it within the 63 bytes of an identifier for a slug of 48 characters.
 */
export function roleName(slug: string, databaseOid: number): string {
  return `tenant_${slug}_${databaseOid.toString(36)}`
}

/**
 * The privilege of `pg_has_role` that allows SET ROLE. Postgres 16 made it one of its own: whoever creates a role may
 * administer it there, but not yet become it.
 */
export function settablePrivilege(server: Server): 'SET' | 'MEMBER' {
  return server.version >= 160_000 ? 'SET' : 'MEMBER'
}

/**
 * Creates the role if it is missing, and lets the login become it. The grant is left alone where it is not needed
 * (superuser, second call): after each new membership, every connection's next SET ROLE reads all memberships again.
 */
export async function ensureRole(client: pg.ClientBase, server: Server, role: string): Promise<void> {
  const name = pg.escapeLiteral(role)
  const quoted = quoteIdentifier(role)
  // Postgres 15 has no such options: there a membership always allows SET ROLE.
  const options = server.version >= 160_000 ? 'WITH SET TRUE, INHERIT FALSE' : ''
  await explainMissingRight(
    'may not manage tenant roles. Run as a superuser: ALTER ROLE <login> CREATEROLE. A role that another login made must be granted to this one WITH ADMIN OPTION',
    client.query(`DO $ensure$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${name}) THEN
        BEGIN
          CREATE ROLE ${quoted} NOLOGIN;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
          NULL; -- Somebody else has just made it.
        END;
      END IF;
      IF NOT pg_has_role(current_user, ${name}, '${settablePrivilege(server)}') THEN
        GRANT ${quoted} TO CURRENT_USER ${options};
      END IF;
    END $ensure$`),
  )
}

/** What a tenant may do in its schema. Tables that come later need it again. */
export async function grantSchema(client: pg.ClientBase, role: string, schema: string): Promise<void> {
  const to = quoteIdentifier(role)
  const inSchema = quoteIdentifier(schema)
  await client.query(`
    GRANT USAGE ON SCHEMA ${inSchema} TO ${to};
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${inSchema} TO ${to};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA ${inSchema} TO ${to}`)
}

/**
 * Takes every right of the role in this database, then the role. A restored copy of this database on the same server
 * still names the role in its grants, and Postgres then keeps the role: it has no rights left here.
 */
export async function dropRole(client: pg.ClientBase, server: Server, role: string): Promise<void> {
  const name = pg.escapeLiteral(role)
  const quoted = quoteIdentifier(role)
  const options = server.version >= 160_000 ? 'WITH INHERIT TRUE' : ''
  await explainMissingRight(
    'may not drop this tenant role: another login made it. Drop it as that login or as a superuser',
    client.query(`DO $drop$ BEGIN
      IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${name}) THEN
        RETURN;
      END IF;
      -- DROP OWNED asks for the role's own privileges, which a membership without INHERIT withholds.
      IF NOT pg_has_role(current_user, ${name}, 'USAGE') THEN
        GRANT ${quoted} TO CURRENT_USER ${options};
      END IF;
      -- A NOINHERIT login of Postgres 15 never has them. What was granted on the schema went with the schema.
      IF pg_has_role(current_user, ${name}, 'USAGE') THEN
        DROP OWNED BY ${quoted};
      END IF;
      BEGIN
        DROP ROLE ${quoted};
      EXCEPTION WHEN dependent_objects_still_exist THEN
        NULL;
      END;
    END $drop$`),
  )
}

/** A refused right becomes an error that tells which one the login lacks. */
export async function explainMissingRight<T>(lack: string, query: Promise<T>): Promise<T> {
  try {
    return await query
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '42501') throw error
    throw new DatabaseSetupError(`The database login ${lack}. (${error.message})`, { cause: error })
  }
}
