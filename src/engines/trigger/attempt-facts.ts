/** What the last attempt of a run was and worked with, in the metadata of the run, told when it is over. */
import { hostname } from 'node:os'
import { metadata } from '@trigger.dev/sdk'
import type { CredentialVersions } from '../../task/services.ts'

const attemptKey = 'attempt'

export interface AttemptFacts {
  worker: string | null
  credentials: CredentialVersions
}

/** As it is in platform_attempts, too. */
export const workerName = () => `trigger.dev ${hostname()} ${process.pid}`

export function tellAttempt(credentials: CredentialVersions): void {
  metadata.set(attemptKey, { worker: workerName(), credentials: { ...credentials } })
}

/** Of a run that has not come that far, or whose metadata somebody has replaced, nothing is known. */
export function readAttemptFacts(told: Readonly<Record<string, unknown>> | undefined): AttemptFacts {
  const facts = told?.[attemptKey]
  if (typeof facts !== 'object' || facts === null) return { worker: null, credentials: {} }
  const { worker, credentials } = facts as Record<string, unknown>
  const versions = Object.entries((credentials ?? {}) as Record<string, unknown>)
  return {
    worker: typeof worker === 'string' ? worker : null,
    credentials: Object.fromEntries(versions.filter(isText)),
  }
}

function isText(entry: [string, unknown]): entry is [string, string] {
  return typeof entry[1] === 'string'
}
