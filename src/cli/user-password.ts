/** `cgk user:password`: a new password for who has lost theirs; whoever was signed in as them no longer is. */
import { Command } from 'commander'
import { parseEmail, parsePassword } from '../auth/account-text.ts'
import { findUserId, setPassword } from '../auth/users.ts'
import { readNewPassword } from './new-password.ts'
import { printJson } from './print.ts'
import { withPlatform } from './session.ts'

export const userPassword = new Command('user:password')
  .description('give a user another password, and end their sessions')
  .argument('<email>')
  .option('--password-stdin', 'read the password from stdin')
  .option('--json', 'print JSON')
  .action(async (typed: string, options: { passwordStdin?: true; json?: true }, command: Command) => {
    const email = parseEmail(typed)
    const password = parsePassword(await readNewPassword(command, options.passwordStdin))
    await withPlatform(async (_, platform) => {
      const { auth } = await platform.ready()
      const id = await findUserId(auth, email)
      await setPassword(auth, id, password, null)
      if (options.json) printJson({ id, email })
      else console.log(`${email} has another password. Every session of theirs has ended.`)
    })
  })
