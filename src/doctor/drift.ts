/**
 * Whether the tables of tenants are still what the migrations make. A fresh schema is migrated in a transaction that is
 * rolled back, and every tenant's is held to it: by a hash, and object by object where that differs.
 */

import { randomBytes } from 'node:crypto'
import type { Database } from '../db/database.ts'
import { applyFiles } from '../db/migrations/apply.ts'
import { type Migration, readMigrations } from '../db/migrations/files.ts'
import { migrationStatus } from '../db/migrations/status.ts'
import { quoteIdentifier } from '../db/statement.ts'
import { portions } from '../portions.ts'
import type { Check } from './check.ts'
import { count, orOk, problem, type Said, some, warning } from './finding.ts'
import { type CatalogObject, readFingerprints, readObjects } from './fingerprint.ts'

/** Hashed by one statement. */
const portion = 200
/** Told object by object; what has happened to more than these has happened to all of them. */
const told = 5

export const drift: Check = {
  name: 'drift',
  async look({ config, database }) {
    const files = await readMigrations(config.migrationsDir, 'tenant')
    const schemas = await migratedSchemas(database, config.migrationsDir)
    if (schemas.length === 0) return orOk([], 'There is no tenant to compare with the migrations.')
    const reference = await readReference(database, files)
    const drifted = await findDrifted(database, schemas, reference.hash)
    const said = await Promise.all(
      drifted.slice(0, told).map((schema) => describe(database, schema, reference.objects)),
    )
    return orOk(
      [...said.flat(), drifted.length > told && others(drifted.slice(told))],
      `The tables of ${count(schemas.length, 'tenant')} are what the migrations make.`,
    )
  },
}

/** What is pending or missing is told by the check of migrations. */
async function migratedSchemas(database: Database, migrationsDir: string): Promise<string[]> {
  return (await migrationStatus(database, migrationsDir))
    .filter(({ slug }) => slug !== null)
    .filter(({ pending, unknown, intact }) => pending.length + unknown.length === 0 && intact)
    .map(({ schema }) => schema)
}

async function readReference(
  database: Database,
  files: readonly Migration[],
): Promise<{ hash: string | undefined; objects: CatalogObject[] }> {
  const schema = `cgk_reference_${randomBytes(6).toString('hex')}`
  const client = await database.pool.connect()
  try {
    await client.query('BEGIN')
    await client.query(`CREATE SCHEMA ${quoteIdentifier(schema)}`)
    await applyFiles(client, schema, files)
    return {
      hash: (await readFingerprints(client, [schema])).get(schema),
      objects: await readObjects(client, schema),
    }
  } finally {
    await client.query('ROLLBACK').then(
      () => client.release(),
      (error) => client.release(error),
    )
  }
}

async function findDrifted(
  database: Database,
  schemas: readonly string[],
  expected: string | undefined,
): Promise<string[]> {
  const drifted: string[] = []
  for (const some of portions(schemas, portion)) {
    const hashes = await readFingerprints(database, some)
    drifted.push(...some.filter((schema) => hashes.get(schema) !== expected))
  }
  return drifted
}

async function describe(
  database: Database,
  schema: string,
  reference: readonly CatalogObject[],
): Promise<Said[]> {
  const wanted = new Map(reference.map(({ object, definition }) => [object, definition]))
  const there = new Map(
    (await readObjects(database, schema)).map(({ object, definition }) => [object, definition]),
  )
  const missing = wholeTables([...wanted.keys()].filter((object) => !there.has(object)))
  const changed = [...wanted].flatMap(([object, definition]) =>
    there.has(object) && there.get(object) !== definition ? [object] : [],
  )
  const surplus = wholeTables([...there.keys()].filter((object) => !wanted.has(object)))
  return [
    missing.length + changed.length > 0 &&
      problem(
        `${schema} is not what the migrations make: ${some([...missing.map((one) => `${one} is missing`), ...changed.map((one) => `${one} is another`)])}.`,
        'Put it back by hand as the migrations have it; a change that is meant is a new migration.',
      ),
    surplus.length > 0 &&
      warning(
        `${schema} has what no migration makes: ${some(surplus)}.`,
        'Make it in a migration, so that every tenant has it, or take it away.',
      ),
  ].filter((one) => one !== false)
}

/** Tables come first, and with them goes what is theirs: `column orders.status` is no news beside `table orders`. */
function wholeTables(objects: readonly string[]): string[] {
  const tables = objects.filter((object) => object.startsWith('table '))
  const parts = tables.map((table) => `${table.slice('table '.length)}.`)
  const rest = objects.filter(
    (object) => !tables.includes(object) && !parts.some((part) => object.split(' ')[1]!.startsWith(part)),
  )
  return [...tables, ...rest]
}

function others(schemas: readonly string[]): Said {
  return problem(
    `${count(schemas.length, 'other schema differs', 'other schemas differ')} from the migrations: ${some(schemas)}.`,
    'Mend the ones above, which are told in detail, and look again.',
  )
}
