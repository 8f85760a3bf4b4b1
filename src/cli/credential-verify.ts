/** `cgk credential:verify`: one cheap real call for each service; exit 1 unless every provider takes the credentials. */
import { Command } from 'commander'
import { UnknownTenantError } from '../errors.ts'
import type { ServiceName } from '../services/registry.ts'
import type { CredentialCheck } from '../services/verify.ts'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { type Jobs, withPlatform } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  all?: true
  json?: true
}

export const credentialVerify = new Command('credential:verify')
  .description('ask providers whether they take the credentials; exit 1 unless all do')
  .argument('[tenant]')
  .argument('[service]', 'all that the tenant has credentials for by default')
  .option('--all', 'every tenant')
  .option('--json', 'print JSON')
  .action(
    async (
      tenant: string | undefined,
      service: string | undefined,
      { all, json }: Options,
      command: Command,
    ) => {
      if ((tenant === undefined) === (all === undefined)) command.error('error: give a tenant, or --all')
      await withPlatform(async (jobs) => {
        const checks = service
          ? [await verify(jobs, tenant!, service as ServiceName)]
          : await verifyTenants(jobs, tenant)
        if (json) printJson(checks)
        else console.log(checks.length === 0 ? 'No credentials.' : formatTable(checks, columns))
        if (checks.some(({ result }) => result !== 'valid')) process.exitCode = 1
      })
    },
  )

async function verifyTenants(jobs: Jobs, only: string | undefined): Promise<CredentialCheck[]> {
  const slugs = (await jobs.listTenants()).map(({ slug }) => slug)
  if (only !== undefined && !slugs.includes(only)) throw new UnknownTenantError(only)
  const checks: CredentialCheck[] = []
  for (const slug of only === undefined ? slugs : [only]) {
    for (const service of await servicesOf(jobs, slug)) checks.push(await verifyOne(jobs, slug, service))
  }
  return checks
}

/** Of a tenant whose tables are not there (it is being made, or deleted), none. */
async function servicesOf(jobs: Jobs, tenantId: string): Promise<ServiceName[]> {
  const stored = await jobs.listCredentials(tenantId).catch((error) => {
    if (error instanceof UnknownTenantError) return []
    throw error
  })
  return [...new Set(stored.map(({ service }) => service as ServiceName))]
}

/** What the provider says holds runs or lets them go, so it is told. */
async function verify(jobs: Jobs, tenantId: string, service: ServiceName): Promise<CredentialCheck> {
  const check = await jobs.verifyCredential(tenantId, service)
  const details = { result: check.result }
  await record(jobs, { action: 'credential.verify', tenantId, subject: service, details })
  return check
}

/** What one tenant lacks must not keep the others from being looked at. */
async function verifyOne(jobs: Jobs, tenantId: string, service: ServiceName): Promise<CredentialCheck> {
  try {
    return await verify(jobs, tenantId, service)
  } catch (error) {
    if (!(error instanceof jobs.JobsError)) throw error
    return { tenantId, service, result: 'unknown', error: { code: error.code, message: error.message } }
  }
}

const columns: Column<CredentialCheck>[] = [
  { title: 'tenant', value: ({ tenantId }) => tenantId },
  { title: 'service', value: ({ service }) => service },
  { title: 'result', value: ({ result }) => result },
  { title: 'error', value: ({ error }) => (error ? `${error.code}: ${error.message}` : ''), mayCut: true },
]
