/**
 * `public.platform_migrations`: which file was applied to which schema, by number, name and checksum. The runner makes
 * the table itself, for the first migration needs it already.
 */
import pg from 'pg'
import { MigrationError } from '../../errors.ts'
import type { Migration } from './files.ts'

export interface AppliedMigration {
  readonly number: number
  readonly name: string
  readonly checksum: string
}

export interface Comparison {
  readonly applied: readonly AppliedMigration[]
  /** Files that are to be applied, in order. */
  readonly pending: readonly Migration[]
  /** Files that are not what was applied under their number. */
  readonly drifted: readonly Migration[]
  /** Applied by a newer version of the platform: this one has no such file, and leaves them alone. */
  readonly unknown: readonly AppliedMigration[]
}

export const createLedger = `
  CREATE TABLE IF NOT EXISTS public.platform_migrations (
    schema_name text NOT NULL,
    number      integer NOT NULL,
    name        text NOT NULL,
    checksum    text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schema_name, number)
  )`

/** One schema's rows, by the primary key. */
export const selectLedger = `
  SELECT number, name, checksum FROM public.platform_migrations WHERE schema_name = $1 ORDER BY number`

export async function recordApplied(
  client: pg.ClientBase,
  schema: string,
  files: readonly Migration[],
): Promise<void> {
  await client.query(
    `INSERT INTO public.platform_migrations (schema_name, number, name, checksum)
     SELECT $1, * FROM unnest($2::int[], $3::text[], $4::text[])`,
    [
      schema,
      files.map((file) => file.number),
      files.map((file) => file.name),
      files.map((file) => file.checksum),
    ],
  )
}

export function compare(files: readonly Migration[], ledger: readonly AppliedMigration[]): Comparison {
  const applied = new Map(ledger.map((row) => [row.number, row]))
  const isDrifted = (file: Migration) => {
    const row = applied.get(file.number)
    return row !== undefined && (row.checksum !== file.checksum || row.name !== file.name)
  }
  return {
    applied: ledger,
    pending: files.filter((file) => !applied.has(file.number)),
    drifted: files.filter(isDrifted),
    unknown: ledger.filter((row) => row.number > files.length),
  }
}

/** The files to apply; throws when one that was applied has changed since. */
export function pendingOf(
  schema: string,
  files: readonly Migration[],
  ledger: readonly AppliedMigration[],
): readonly Migration[] {
  const { pending, drifted } = compare(files, ledger)
  if (drifted.length === 0) return pending
  const names = drifted.map((file) => file.name).join(', ')
  throw new MigrationError(
    `${names} was changed or renamed after it was applied to ${schema}. Put the file back as it was, and make the change in a new migration.`,
  )
}

/** A missing platform table means that the public migrations have not run. */
export async function needsPublicTables<T>(query: Promise<T>): Promise<T> {
  try {
    return await query
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '42P01') throw error
    throw new MigrationError('The platform tables are not in this database yet. Run: cgk migrate', {
      cause: error,
    })
  }
}
