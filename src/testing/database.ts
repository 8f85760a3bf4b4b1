/**
 * A database of its own for a test file: real Postgres, made in milliseconds, dropped at the end. On the server the
 * test run provides, else on an embedded one that lives as long as this process has test databases.
 */
import { randomBytes } from 'node:crypto'
import { Client, escapeIdentifier } from 'pg'
import { readTestConfig } from '../config.ts'
import type { EmbeddedPostgres } from '../db/embedded/index.ts'
import { startTemporaryPostgres } from '../db/embedded/temporary.ts'
import { roleName } from '../db/roles.ts'
import { DatabaseSetupError } from '../errors.ts'

export interface TestDatabaseOptions {
  /** A server whose login may create databases. Default: CGK_TEST_SERVER_URL, then DATABASE_URL, then embedded. */
  serverUrl?: string
  /** A database of that server to copy. Nobody may be connected to it. */
  template?: string
}

export interface TestDatabase {
  url: string
  name: string
  /** Throws out whoever is still connected. Calling it again is harmless. */
  drop(): Promise<void>
}

/** @throws DatabaseSetupError when the server cannot be reached or the login may not create databases. */
export async function createTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const given = options.serverUrl ?? readTestConfig().serverUrl
  const serverUrl = given ?? (await borrowServer())
  const name = `test_${randomBytes(10).toString('hex')}`
  try {
    await createDatabase(serverUrl, name, options.template)
  } catch (error) {
    if (!given) await returnServer()
    throw error
  }
  let dropped: Promise<void> | undefined
  const drop = async () => {
    await dropDatabase(serverUrl, name)
    if (!given) await returnServer()
  }
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return { url: url.href, name, drop: () => (dropped ??= drop()) }
}

async function createDatabase(serverUrl: string, name: string, template?: string): Promise<void> {
  const copy = template === undefined ? '' : ` TEMPLATE ${escapeIdentifier(template)}`
  await onServer(serverUrl, (client) => client.query(`CREATE DATABASE ${escapeIdentifier(name)}${copy}`))
}

/** Its tenants' roles go as well: they belong to the server, so they would stay; the oid in their names finds them. */
async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await onServer(serverUrl, async (client) => {
    const roles = await client.query<{ rolname: string; oid: string }>(
      `SELECT rolname, pg_database.oid::text FROM pg_database JOIN pg_roles ON rolname LIKE 'tenant\\_%'
       WHERE datname = $1`,
      [name],
    )
    await forceDrop(client, name)
    for (const { rolname, oid } of roles.rows) {
      if (rolname.endsWith(roleName('', Number(oid)).slice('tenant_'.length))) {
        await client.query(`DROP ROLE ${escapeIdentifier(rolname)}`)
      }
    }
  })
}

/**
 * WITH (FORCE) is refused while somebody is in the database whom this login may not end, and an autovacuum worker is
 * such a somebody. Without FORCE, Postgres ends autovacuum itself and waits 5 s for the others to leave.
 */
async function forceDrop(client: Client, name: string): Promise<void> {
  const drop = `DROP DATABASE IF EXISTS ${escapeIdentifier(name)}`
  try {
    await client.query(`${drop} WITH (FORCE)`)
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND usename = current_user',
      [name],
    )
    await client.query(drop)
  }
}

async function onServer(serverUrl: string, ask: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: serverUrl })
  client.on('error', () => {}) // A lost connection fails the query as well; unheard, the event would end the process.
  try {
    await client.connect().catch((error) => {
      throw unreachable(serverUrl, error)
    })
    await ask(client).catch((error) => {
      throw error.code === '42501' ? notAllowed(serverUrl, error) : error
    })
  } finally {
    await client.end().catch(() => {})
  }
}

function unreachable(serverUrl: string, cause: Error): DatabaseSetupError {
  return new DatabaseSetupError(
    `The Postgres server for tests at ${new URL(serverUrl).host} cannot be used: ${cause.message}. Check CGK_TEST_SERVER_URL or DATABASE_URL, or unset both to use the embedded Postgres.`,
    { cause },
  )
}

function notAllowed(serverUrl: string, cause: Error): DatabaseSetupError {
  const login = decodeURIComponent(new URL(serverUrl).username)
  return new DatabaseSetupError(
    `The login "${login}" could not create a test database: ${cause.message}. It needs CREATEDB (ALTER ROLE ${escapeIdentifier(login)} CREATEDB), and must own the template if one is given.`,
    { cause },
  )
}

// ── the embedded server of this process ─────────────────────────────────────────────────────────────────────

let server: Promise<EmbeddedPostgres> | undefined
let borrowers = 0

async function borrowServer(): Promise<string> {
  borrowers += 1
  server ??= startTemporaryPostgres()
  try {
    return (await server).url
  } catch (error) {
    // The next test database tries anew.
    borrowers -= 1
    server = undefined
    throw error
  }
}

async function returnServer(): Promise<void> {
  borrowers -= 1
  if (borrowers > 0) return
  const last = server
  server = undefined
  await (await last)?.stop()
}
