/** `cgk user:disable` and `cgk user:enable`, which undo each other. */
import { Command } from 'commander'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { withPeople } from './with-people.ts'

export const userDisable = new Command('user:disable')
  .description('end all sessions of a user, and let them sign in no more')
  .argument('<email>')
  .option('--json', 'print JSON')
  .action(async (email: string, { json }: { json?: true }) => {
    await withPeople(async ({ disableUser, findUserId }, auth, started) => {
      const id = await findUserId(auth, email)
      await disableUser(auth, id, null)
      await record(started, { action: 'user.disable', tenantId: null, subject: id })
      if (json) printJson({ id, status: 'disabled' })
      else console.log(`${email} is disabled. Undo it with: cgk user:enable ${email}`)
    })
  })

export const userEnable = new Command('user:enable')
  .description('let a disabled user sign in again')
  .argument('<email>')
  .option('--json', 'print JSON')
  .action(async (email: string, { json }: { json?: true }) => {
    await withPeople(async ({ enableUser, findUserId }, auth, started) => {
      const id = await findUserId(auth, email)
      await enableUser(auth, id, null)
      await record(started, { action: 'user.enable', tenantId: null, subject: id })
      if (json) printJson({ id, status: 'active' })
      else console.log(`${email} is active.`)
    })
  })
