/** A platform of its own for each file, for the doctor to look at: healthy, until a test breaks it. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { namesInEnvironment } from '../../src/config.ts'
import { Database } from '../../src/db/database.ts'
import type { Check, Subject } from '../../src/doctor/check.ts'
import { look } from '../../src/doctor/examine.ts'
import type { Finding } from '../../src/doctor/finding.ts'
import { Platform, type PlatformOptions } from '../../src/platform.ts'
import type { AnyTask } from '../../src/task/define.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/platform.ts'

export interface Patient extends AsyncDisposable {
  platform: TestPlatform
  database: Database
  /** As the check would find it with these settings. */
  subject(options?: PlatformOptions): Subject
  look(check: Check, options?: PlatformOptions): Promise<Finding[]>
}

export async function openPatient(tasks: readonly AnyTask[] = []): Promise<Patient> {
  const platform = await createTestPlatform({ engine: 'pg-boss', tasks })
  const { database } = await platform.platform.ready()
  const subject = (options: PlatformOptions = {}): Subject => {
    const { databaseUrl } = platform
    const { config, keys } = new Platform({ databaseUrl, engine: 'pg-boss', tasks, ...options })
    const environment = namesInEnvironment({})
    return { config, environment, database, keys, tasks: Promise.resolve(tasks), now: Date.now }
  }
  return {
    platform,
    database,
    subject,
    look: (check, options) => look(check, subject(options)),
    [Symbol.asyncDispose]: () => platform.close(),
  }
}

/** `[state, found]` of each, for short. */
export function said(findings: readonly Finding[]): [string, string][] {
  return findings.map(({ state, found }) => [state, found])
}

/** A login of its own for the database, with what `grant` gives it; gone afterwards. */
export async function withLogin(
  database: Database,
  attributes: string,
  grant: (login: string, databaseName: string) => string[],
  work: (database: Database) => Promise<void>,
): Promise<void> {
  const login = `doctor_${randomBytes(6).toString('hex')}`
  const password = randomBytes(12).toString('hex')
  await database.query(`CREATE ROLE ${login} LOGIN ${attributes} PASSWORD '${password}'`)
  const url = new URL(database.pool.options.connectionString!)
  for (const statement of grant(login, url.pathname.slice(1))) await database.query(statement)
  Object.assign(url, { username: login, password })
  const admit = () => Promise.reject(new Error('Nobody works here.'))
  const own = new Database({ url: url.href, poolSize: 2, admit })
  try {
    await work(own)
  } finally {
    await own.close()
    await database.query(`REVOKE ALL ON DATABASE ${url.pathname.slice(1)} FROM ${login}`)
    await database.query(`REVOKE ALL ON SCHEMA public FROM ${login}`)
    await database.query(`DROP ROLE ${login}`)
  }
}

/** The name of a tenant's role, as SQL writes it. */
export async function roleOf(database: Database, tenantId: string): Promise<string> {
  const { rows } = await database.query<{ role: string }>(
    `SELECT rolname AS role FROM pg_roles, pg_database WHERE datname = current_database()
     AND rolname LIKE 'tenant\\_' || $1 || '\\_%'`,
    [tenantId],
  )
  return pg.escapeIdentifier(rows[0]!.role)
}
