/**
 * The migration files of a folder: `NNN_name.sql`, numbered from 001 without a gap. A file is never changed once it was
 * applied anywhere; its checksum in the ledger keeps that.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MigrationError } from '../../errors.ts'

export interface Migration {
  readonly number: number
  /** The file's name: 001_commerce.sql. */
  readonly name: string
  /** sha256 of the text, in hex. */
  readonly checksum: string
  readonly sql: string
}

/** The two folders of `config.migrationsDir`. */
export type MigrationKind = 'public' | 'tenant'

const fileName = /^(\d{3})_[a-z0-9_-]+\.sql$/

/** `migrationsDir` is the folder that has `public/` and `tenant/` in it. */
export async function readMigrations(migrationsDir: string, kind: MigrationKind): Promise<Migration[]> {
  const folder = join(migrationsDir, kind)
  const names = (await listFolder(folder)).filter((name) => name.endsWith('.sql')).sort()
  const migrations = await Promise.all(names.map((name) => readMigration(folder, name)))
  refuseMisnumbered(folder, migrations)
  return migrations
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    throw new MigrationError(
      `The migrations folder ${folder} cannot be read. Create it, or set JOBS_MIGRATIONS_DIR to the folder that has public/ and tenant/ in it.`,
      { cause: error },
    )
  }
}

async function readMigration(folder: string, name: string): Promise<Migration> {
  const number = Number(fileName.exec(name)?.[1])
  if (Number.isNaN(number)) {
    throw new MigrationError(
      `${join(folder, name)} is not a migration's name. Call it NNN_what_it_does.sql: three digits, then lower-case letters, digits, _ or -.`,
    )
  }
  // A checkout with CRLF line ends is the same migration.
  const sql = (await readFile(join(folder, name), 'utf8')).replaceAll('\r\n', '\n')
  refuseTransactionControl(join(folder, name), sql)
  return { number, name, checksum: createHash('sha256').update(sql).digest('hex'), sql }
}

/** A COMMIT in a file would end the transaction that makes a migration all or nothing. */
function refuseTransactionControl(path: string, sql: string): void {
  const found = /^[ \t]*(begin|start[ \t]+transaction|commit|rollback)\b[^;\n]*;/im.exec(sql)?.[1]
  if (!found) return
  throw new MigrationError(
    `${path} contains ${found.toUpperCase()}. A migration runs in a transaction of the platform's: take BEGIN, COMMIT and ROLLBACK out of the file.`,
  )
}

function refuseMisnumbered(folder: string, migrations: readonly Migration[]): void {
  for (const [index, { number, name }] of migrations.entries()) {
    if (number === index + 1) continue
    const twin = migrations[index - 1]
    const problem =
      twin?.number === number
        ? `has two files with the number of ${name}: ${twin.name} and ${name}`
        : `jumps to ${name} where ${String(index + 1).padStart(3, '0')} is expected`
    throw new MigrationError(
      `${folder} ${problem}. Number the files 001, 002, 003 ... without a gap; rename the newest.`,
    )
  }
}
