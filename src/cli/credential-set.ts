/**
 * `cgk credential:set`: the value comes from stdin or from a hidden prompt, never from the command line, which other
 * users of the machine and the shell's history see.
 */
import { Command } from 'commander'
import type { ServiceName } from '../services/registry.ts'
import { askHidden, readStdin } from './hidden-value.ts'
import { record } from './record.ts'
import { withPlatform } from './session.ts'

export const credentialSet = new Command('credential:set')
  .description("set a tenant's credential; the value is read from stdin, or asked for")
  .argument('<tenant>')
  .argument('<service>', 'stripe, resend, mux, assemblyai, wise, anthropic or shopify')
  .argument('<key>', 'which of its credentials, for example secret_key')
  .addHelpText('after', '\nExample: cgk credential:set rawdog stripe secret_key < key.txt')
  .action(async (tenant: string, service: string, key: string) => {
    await refuseUnknownKey(service, key)
    const value = await readValue(`${service} ${key} of ${tenant}`)
    await withPlatform(async (jobs) => {
      await jobs.setCredential(tenant, service as ServiceName, { [key]: value })
      const details = { keys: key }
      await record(jobs, { action: 'credential.set', tenantId: tenant, subject: service, details })
      console.log(
        `Set ${service} ${key} of ${tenant}. Check it with: cgk credential:verify ${tenant} ${service}`,
      )
    })
  })

/** Before anybody types a secret for nothing. */
async function refuseUnknownKey(service: string, key: string): Promise<void> {
  const [{ loadService }, { checkKey }] = await Promise.all([
    import('../services/registry.ts'),
    import('../services/set-credential.ts'),
  ])
  checkKey(await loadService(service), key)
}

async function readValue(what: string): Promise<string> {
  return process.stdin.isTTY ? await askHidden(what) : await readStdin()
}
