/** `cgk user:confirm`: an account made with an invitation becomes one of the person who has its address. */
import { Command } from 'commander'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { withPeople } from './with-people.ts'

export const userConfirm = new Command('user:confirm')
  .description('you have made sure that the account is of who has its address: it may join any tenant')
  .argument('<email>')
  .option('--json', 'print JSON')
  .action(async (email: string, { json }: { json?: true }) => {
    await withPeople(async ({ confirmAddress, findUserId }, auth, started) => {
      const id = await findUserId(auth, email)
      const confirmed = await confirmAddress(auth, id, null)
      if (confirmed) await record(started, { action: 'user.confirm', tenantId: null, subject: id })
      if (json) printJson({ id, confirmed })
      else console.log(confirmed ? `${email} is confirmed.` : `${email} was confirmed before.`)
    })
  })
