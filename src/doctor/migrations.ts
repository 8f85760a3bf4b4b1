/** Whether every schema has the tables of this release. */
import { migrationStatus } from '../db/migrations/status.ts'
import type { Check } from './check.ts'
import { count, orOk, problem, some, warning } from './finding.ts'

export const migrations: Check = {
  name: 'migrations',
  async look({ config, database }) {
    const schemas = await migrationStatus(database, config.migrationsDir)
    const names = (matches: (status: (typeof schemas)[number]) => boolean) =>
      schemas.filter(matches).map(({ schema }) => schema)
    const pending = names((status) => status.pending.length > 0)
    const edited = names((status) => status.drifted.length > 0)
    const newer = names((status) => status.unknown.length > 0)
    const broken = names((status) => !status.intact)
    return orOk(
      [
        pending.length > 0 &&
          problem(
            `${count(pending.length, 'schema lacks', 'schemas lack')} migrations of this release: ${some(pending)}.`,
            'Run: cgk migrate',
          ),
        edited.length > 0 &&
          problem(
            `Migrations were changed after they were applied to ${some(edited)}.`,
            'Put the files back as they were, and make the change in a new one; cgk migrate:status names them.',
          ),
        broken.length > 0 &&
          problem(
            `The schema, the role or its grants are missing for ${some(broken)}.`,
            'Run: cgk migrate. It makes roles and grants again; a lost schema must come from a backup.',
          ),
        newer.length > 0 &&
          warning(
            `A newer release has migrated ${some(newer)}.`,
            'Deploy the newer release everywhere; this one should not run beside it for long.',
          ),
      ],
      `The platform and ${count(schemas.length - 1, 'tenant')} have all migrations of this release.`,
    )
  },
}
