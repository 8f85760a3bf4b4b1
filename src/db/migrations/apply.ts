/**
 * How files reach a schema, inside a transaction that is already open. The order of locks is always the same: the
 * schema's advisory lock first, rows and tables after it. So two runners never wait for each other.
 */
import pg from 'pg'
import { MigrationError } from '../../errors.ts'
import { oneFlight } from '../platform-transaction.ts'
import { quoteIdentifier } from '../statement.ts'
import type { Migration } from './files.ts'
import { recordApplied } from './ledger.ts'

/** Another runner may have many files to apply; waiting for it costs nobody anything. */
const runnerWait = '60s'

/**
 * DDL that waits for a table makes everybody behind it wait as well: better to give up soon and be run again than to
 * stop a tenant's tasks behind one long query.
 */
const tableWait = '5s'

/** Creating, migrating and deleting one schema exclude each other until the transaction ends. */
export async function lockSchema(client: pg.ClientBase, schema: string): Promise<void> {
  await oneFlight([
    client.query(`SET LOCAL lock_timeout = '${runnerWait}'`),
    client
      .query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`cgk migrate ${schema}`])
      .catch((error) => {
        throw sqlState(error) === '55P03' ? busyRunner(schema, error) : error
      }),
    client.query(`SET LOCAL lock_timeout = '${tableWait}'`),
  ])
}

/** Sends all files in one flight, each as its own message: the first that fails is known by name. */
export async function applyFiles(
  client: pg.ClientBase,
  schema: string,
  files: readonly Migration[],
): Promise<void> {
  if (files.length === 0) return
  const path = schema === 'public' ? 'public' : `${quoteIdentifier(schema)}, public`
  await oneFlight([
    client.query(`SET LOCAL search_path TO ${path}`),
    ...files.map((file) =>
      client.query(file.sql).catch((error) => {
        throw explainFailure(file, schema, error)
      }),
    ),
    // A file that says SET instead of SET LOCAL must not leave it on the pooled connection.
    client.query('RESET ROLE; RESET ALL'),
    recordApplied(client, schema, files),
  ])
}

function explainFailure(file: Migration, schema: string, error: unknown): unknown {
  if (!(error instanceof pg.DatabaseError)) return error
  if (error.code === '55P03') {
    return new MigrationError(
      `${file.name} waited ${tableWait} for a table of ${schema} that is in use. Nothing was changed; run the migration again, or end the long query first.`,
      { cause: error },
    )
  }
  const line = error.position
    ? ` at line ${file.sql.slice(0, Number(error.position)).split('\n').length}`
    : ''
  return new MigrationError(
    `${file.name} failed in ${schema}${line}: ${error.message}. Nothing of it was kept; correct the file and run the migration again.`,
    { cause: error },
  )
}

function busyRunner(schema: string, cause: unknown): MigrationError {
  return new MigrationError(
    `Another process has been creating, migrating or deleting ${schema} for ${runnerWait}. Wait for it and run again.`,
    { cause },
  )
}

function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}
