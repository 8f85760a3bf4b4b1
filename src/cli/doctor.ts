/**
 * `cgk doctor`: looks at everything the platform stands on, and says what to do. It changes nothing. Exit 1 when there is
 * a problem; a warning is none.
 */
import { Command } from 'commander'
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import type { Finding, FindingState } from '../doctor/finding.ts'
import { ConfigError, EmbeddedPostgresError } from '../errors.ts'
import { plural, printJson } from './print.ts'
import { withDatabase } from './session.ts'
import { plain } from './table.ts'

export const doctor = new Command('doctor')
  .description('look at everything and say what to do; exit 1 when something is wrong')
  .option('--json', 'print JSON')
  .action(async ({ json }: { json?: true }) => {
    const findings = await examineHere()
    if (json) printJson(findings)
    else print(findings)
    if (findings.some(({ state }) => state === 'problem')) process.exitCode = 1
  })

async function examineHere(): Promise<Finding[]> {
  let findings: Finding[] = []
  try {
    await withDatabase(
      async (database, config) => {
        findings = await examineDatabase(database, config)
      },
      { poolSize: 4 },
    )
    return findings
  } catch (error) {
    // Nothing else can be looked at before that.
    const check =
      error instanceof ConfigError
        ? 'configuration'
        : error instanceof EmbeddedPostgresError
          ? 'database'
          : null
    if (check === null) throw error
    const { message } = error as Error
    return [{ check, state: 'problem', found: message, todo: 'Correct what it names, and look again.' }]
  }
}

async function examineDatabase(database: Database, config: Config): Promise<Finding[]> {
  const [{ examine }, { namesInEnvironment }, { Platform }] = await Promise.all([
    import('../doctor/examine.ts'),
    import('../config.ts'),
    import('../platform.ts'),
  ])
  // It is not started, so it connects to nothing.
  const platform = new Platform(config)
  return await examine({
    config,
    database,
    environment: namesInEnvironment(),
    keys: platform.keys,
    tasks: platform.registry().then((registry) => registry.list()),
    now: Date.now,
  })
}

const marks: Record<FindingState, string> = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' }

function print(findings: readonly Finding[]): void {
  for (const { check, state, found, todo } of findings) {
    console.log(`${marks[state]}  ${check.padEnd(13)}  ${plain(found)}`)
    if (todo !== null) console.log(`${' '.repeat(24)}${plain(todo)}`)
  }
  const number = (wanted: FindingState) => findings.filter(({ state }) => state === wanted).length
  const [problems, warnings] = [plural(number('problem'), 'problem'), plural(number('warning'), 'warning')]
  console.log(`\n${problems}, ${warnings}, ${number('ok')} ok.`)
}
