/**
 * `cgk migrate:status`: what every schema has and lacks. Pending is a state like any other (exit 0); drifted means that
 * somebody changed what was applied, and needs a person (exit 1).
 */
import { Command } from 'commander'
import type { SchemaStatus } from '../db/migrations/status.ts'
import { printJson } from './print.ts'
import { type QueueSchema, readQueueSchema } from './queue-schema.ts'
import { withDatabase } from './session.ts'
import { type Column, formatTable } from './table.ts'

/** Migrations by name. */
interface Row {
  schema: string
  tenant: string | null
  applied: string[]
  pending: string[]
  /** Changed or renamed after they were applied. */
  drifted: string[]
  /** Applied by a newer release. */
  unknown: string[]
  /** False: the schema, role or grants are missing, and `cgk migrate` makes them again. */
  intact: boolean
}

export const migrateStatus = new Command('migrate:status')
  .description('what is applied, pending and drifted in each schema; exit 1 when something is drifted')
  .option('--json', 'print JSON')
  .action(async ({ json }: { json?: true }) => {
    await withDatabase(async (database, config) => {
      const { migrationStatus } = await import('../db/migrations/status.ts')
      const [schemas, queue] = await Promise.all([
        migrationStatus(database, config.migrationsDir),
        readQueueSchema(database, config),
      ])
      const [platform, ...tenants] = schemas.map(schemaRow)
      const rows = [platform!, ...(queue ? [queueRow(queue)] : []), ...tenants]
      if (json) printJson(rows)
      else console.log(formatTable(rows, columns))
      if (rows.some(({ drifted }) => drifted.length > 0)) process.exitCode = 1
    })
  })

function schemaRow({ schema, slug, applied, pending, drifted, unknown, intact }: SchemaStatus): Row {
  const names = (migrations: readonly { name: string }[]) => migrations.map(({ name }) => name)
  return {
    schema,
    tenant: slug,
    applied: names(applied),
    pending: names(pending),
    drifted: names(drifted),
    unknown: names(unknown),
    intact,
  }
}

/** The queue's schema has one version instead of files. */
function queueRow({ name, version, wanted }: QueueSchema): Row {
  const at = version === null ? [] : [`version ${version}`]
  const newer = version !== null && version > wanted
  return {
    schema: name,
    tenant: null,
    applied: at,
    pending: version === wanted || newer ? [] : [`version ${wanted}`],
    drifted: [],
    unknown: newer ? at : [],
    intact: true,
  }
}

const columns: Column<Row>[] = [
  { title: 'schema', value: ({ schema }) => schema, mayCut: true },
  { title: 'applied', value: ({ applied }) => String(applied.length), align: 'right' },
  { title: 'pending', value: ({ pending }) => String(pending.length), align: 'right' },
  { title: 'drifted', value: ({ drifted }) => String(drifted.length), align: 'right' },
  { title: 'to look at', value: remarks, mayCut: true },
]

function remarks({ pending, drifted, unknown, intact }: Row): string {
  return [
    drifted.length > 0 && `drifted: ${drifted.join(', ')}`,
    pending.length > 0 && `pending: ${pending.join(', ')}`,
    unknown.length > 0 && `from a newer release: ${unknown.join(', ')}`,
    !intact && 'schema, role or grants are missing',
  ]
    .filter(Boolean)
    .join('; ')
}
