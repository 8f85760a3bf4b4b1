/**
 * All checks, in the order in which things are mended. What cannot be seen before something else is mended is left out;
 * beyond that, a check that throws is a finding and stops no other.
 */
import { cleanText } from '../clean-text.ts'
import { readPublicLedger } from '../db/migrations/public.ts'
import type { Check, Subject } from './check.ts'
import { clock } from './clock.ts'
import { configuration } from './configuration.ts'
import { connections } from './connections.ts'
import { credentials } from './credentials.ts'
import { drift } from './drift.ts'
import { engine } from './engine.ts'
import { type Finding, problem } from './finding.ts'
import { holds } from './holds.ts'
import { migrations } from './migrations.ts'
import { notifications } from './notifications.ts'
import { reachable } from './reachable.ts'
import { rights } from './rights.ts'
import { runs } from './runs.ts'
import { tenantRoles } from './tenant-roles.ts'

const ofServer: Check[] = [rights, clock, connections, notifications, migrations]
/** They read the platform's tables. */
const ofTables: Check[] = [tenantRoles, drift, engine, credentials, holds, runs]

export async function examine(subject: Subject): Promise<Finding[]> {
  const findings = [...(await look(configuration, subject)), ...(await look(reachable, subject))]
  if (findings.some(({ check, state }) => check === reachable.name && state === 'problem')) return findings
  const checks = (await hasTables(subject)) ? [...ofServer, ...ofTables] : ofServer
  return [...findings, ...(await Promise.all(checks.map((check) => look(check, subject)))).flat()]
}

/** Where that cannot be read, every check says so for itself. */
async function hasTables({ database }: Subject): Promise<boolean> {
  return await readPublicLedger(database).then(
    (applied) => applied.length > 0,
    () => true,
  )
}

const longestMessage = 300

/** One check alone. */
export async function look(check: Check, subject: Subject): Promise<Finding[]> {
  try {
    return (await check.look(subject)).map((said) => ({ check: check.name, ...said }))
  } catch (error) {
    const message = cleanText(error instanceof Error ? error.message : String(error), longestMessage)
    const found = `It could not be looked at: ${message}`
    const todo = 'Mend what the message says, or what is found above, and look again.'
    return [{ check: check.name, ...problem(found, todo) }]
  }
}
