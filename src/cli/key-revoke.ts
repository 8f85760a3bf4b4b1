/** `cgk key:revoke`: from the next request on, the key is refused everywhere. */
import { Command } from 'commander'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { withPeople } from './with-people.ts'

export const keyRevoke = new Command('key:revoke')
  .description('revoke an API key')
  .argument('<key>', 'its id, or its first characters as key:list shows them')
  .option('--json', 'print JSON')
  .action(async (key: string, { json }: { json?: true }) => {
    await withPeople(async ({ findApiKey, revokeApiKey }, auth, started) => {
      const { id, tenantId } = await findApiKey(auth, key.replace(/…$/, ''))
      const revoked = await revokeApiKey(auth, id, null)
      if (revoked) await record(started, { action: 'key.revoke', tenantId, subject: id })
      if (json) printJson({ key, revoked })
      else console.log(revoked ? `Revoked ${key}.` : `${key} had been revoked before.`)
    })
  })
