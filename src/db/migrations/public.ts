/** The platform's own tables: `migrations/public`, once per database. */
import type pg from 'pg'
import { DatabaseSetupError } from '../../errors.ts'
import type { Database } from '../database.ts'
import { oneFlight, platformTransaction } from '../platform-transaction.ts'
import { explainMissingRight } from '../roles.ts'
import { quoteIdentifier } from '../statement.ts'
import { applyFiles, lockSchema } from './apply.ts'
import { type Migration, readMigrations } from './files.ts'
import { type AppliedMigration, createLedger, pendingOf, selectLedger } from './ledger.ts'

export interface MigrateOptions {
  /** Only answer what would be done. */
  dryRun?: boolean
}

export interface MigrationResult {
  readonly schema: string
  /** Names of the files that were (or, for a dry run, would be) applied. */
  readonly files: readonly string[]
}

/**
 * Applies what is pending in one transaction: all or nothing. Every process may call this when it starts: with nothing
 * to do it takes no lock and costs one query, and when several start at once, one works and the others find it done.
 *
 * @throws MigrationError when a file fails, or was changed after it was applied.
 */
export async function migratePublic(
  database: Database,
  migrationsDir: string,
  options: MigrateOptions = {},
): Promise<MigrationResult> {
  const files = await readMigrations(migrationsDir, 'public')
  const pending = pendingOf('public', files, await readPublicLedger(database))
  const todo = pending.length > 0 && !options.dryRun ? await applyPending(database, files) : pending
  return { schema: 'public', files: todo.map((file) => file.name) }
}

/** Empty in a database that was never migrated. */
export async function readPublicLedger(database: Database): Promise<AppliedMigration[]> {
  try {
    return (await database.query<AppliedMigration>(selectLedger, ['public'])).rows
  } catch (error) {
    if ((error as { code?: unknown }).code === '42P01') return []
    throw error
  }
}

async function applyPending(database: Database, files: readonly Migration[]): Promise<readonly Migration[]> {
  return await platformTransaction(database, async (client) => {
    await needsCreate(client)
    await lockSchema(client, 'public')
    // Read again under the lock: somebody else may have been first.
    const [, ledger] = await oneFlight([
      explainMissingRight(
        'may not create tables in public. Run as the database owner: GRANT CREATE ON SCHEMA public TO <login>',
        client.query(createLedger),
      ),
      client.query<AppliedMigration>(selectLedger, ['public']),
    ])
    const pending = pendingOf('public', files, ledger.rows)
    await applyFiles(client, 'public', pending)
    return pending
  })
}

/** The queue and every tenant get a schema. Better refused before anything is made than half-way. */
async function needsCreate(client: pg.ClientBase): Promise<void> {
  const { rows } = await client.query<{ login: string; database: string; may: boolean }>(
    `SELECT current_user AS login, current_database() AS database,
            has_database_privilege(current_database(), 'CREATE') AS may`,
  )
  const { login, database, may } = rows[0]!
  if (may) return
  throw new DatabaseSetupError(
    `The database login may not create schemas. Run as the database owner: GRANT CREATE ON DATABASE ${quoteIdentifier(database)} TO ${quoteIdentifier(login)}`,
  )
}
