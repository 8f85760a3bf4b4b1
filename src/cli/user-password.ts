/** `cgk user:password`: a new password for who has lost theirs; whoever was signed in as them no longer is. */
import { Command } from 'commander'
import { readNewPassword } from './new-password.ts'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { loadPeople, withPeople } from './with-people.ts'

export const userPassword = new Command('user:password')
  .description('give a user another password, and end their sessions')
  .argument('<email>')
  .option('--password-stdin', 'read the password from stdin')
  .option('--json', 'print JSON')
  .action(async (typed: string, options: { passwordStdin?: true; json?: true }, command: Command) => {
    const { parseEmail, parsePassword } = await loadPeople()
    const email = parseEmail(typed)
    const password = parsePassword(await readNewPassword(command, options.passwordStdin))
    await withPeople(async ({ findUserId, setPassword }, auth, started) => {
      const id = await findUserId(auth, email)
      await setPassword(auth, id, password, null)
      await record(started, { action: 'user.password', tenantId: null, subject: id })
      if (options.json) printJson({ id, email })
      else console.log(`${email} has another password. Every session of theirs has ended.`)
    })
  })
