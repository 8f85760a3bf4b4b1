/** `cgk key:revoke`: from the next request on, the key is refused everywhere. */
import { Command } from 'commander'
import { printJson } from './print.ts'
import { withPeople } from './with-people.ts'

export const keyRevoke = new Command('key:revoke')
  .description('revoke an API key')
  .argument('<key>', 'its id, or its first characters as key:list shows them')
  .option('--json', 'print JSON')
  .action(async (key: string, { json }: { json?: true }) => {
    await withPeople(async ({ revokeApiKey }, auth) => {
      const revoked = await revokeApiKey(auth, key.replace(/…$/, ''), null)
      if (json) printJson({ key, revoked })
      else console.log(revoked ? `Revoked ${key}.` : `${key} had been revoked before.`)
    })
  })
