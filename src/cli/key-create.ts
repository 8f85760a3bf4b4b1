/** `cgk key:create`: the key is printed here once, and can be read nowhere afterwards. */
import { Command } from 'commander'
import { keyScopes, type Permission } from '../auth/permissions.ts'
import type { Duration } from '../task/duration.ts'
import { list } from './arguments.ts'
import { printJson, timeText } from './print.ts'
import { record } from './record.ts'
import { withPeople } from './with-people.ts'

interface Options {
  tenant?: string
  platform?: true
  scope: string[]
  expires?: string
  json?: true
}

export const keyCreate = new Command('key:create')
  .description('create an API key; it is printed once')
  .argument('<name>', 'what it is for')
  .option('--tenant <slug>', 'of this tenant, and good for nothing else')
  .option('--platform', 'of the platform, and good for every tenant')
  .requiredOption('--scope <names>', `what it may: ${keyScopes.join(', ')}`, list)
  .option('--expires <time>', 'for how long it is valid, for example 90d; for ever by default')
  .option('--json', 'print JSON')
  .action(async (name: string, { tenant, platform, scope, expires, json }: Options, command: Command) => {
    // The wider key must be asked for by its name.
    if ((tenant === undefined) === (platform === undefined)) {
      command.error('error: give either --tenant or --platform')
    }
    await withPeople(async ({ createApiKey }, auth, started) => {
      const key = await createApiKey(
        auth,
        {
          name,
          tenantId: tenant ?? null,
          scopes: scope as Permission[],
          expiresIn: expires as Duration | undefined,
        },
        null,
      )
      await record(started, {
        action: 'key.create',
        tenantId: key.tenantId,
        subject: key.id,
        details: { prefix: key.prefix, scopes: key.scopes.join(', ') },
      })
      if (json) return printJson(key)
      console.log(key.key)
      const end = key.expiresAt ? `It expires ${timeText(key.expiresAt)}.` : 'It does not expire.'
      console.error(`Keep it now: it is not shown again. ${end} Revoke it with: cgk key:revoke ${key.prefix}`)
    })
  })
