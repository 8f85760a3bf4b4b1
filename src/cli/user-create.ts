/** `cgk user:create`: an account, with what it may from the start. */
import { Command, type Command as Commander, Option } from 'commander'
import { parseEmail, parsePassword } from '../auth/account-text.ts'
import { type Permission, permissions, type TenantRole, tenantRoles } from '../auth/permissions.ts'
import { createUser } from '../auth/users.ts'
import { list } from './arguments.ts'
import { readNewPassword } from './new-password.ts'
import { printJson } from './print.ts'
import { withPlatform } from './session.ts'

interface Options {
  name?: string
  operator?: true
  tenant?: string
  role: TenantRole
  permission?: string[]
  passwordStdin?: true
  json?: true
}

export const userCreate = new Command('user:create')
  .description('create an account; the password is asked for, or read from stdin')
  .argument('<email>')
  .option('--name <text>', 'what people call them')
  .option('--operator', 'may watch and repair the runs of every tenant')
  .option('--tenant <slug>', 'belongs to this tenant')
  .addOption(new Option('--role <role>', 'in that tenant').choices(tenantRoles).default('member'))
  .option('--permission <names>', `beyond the role: ${permissions.join(', ')}`, list)
  .option('--password-stdin', 'read the password from stdin')
  .option('--json', 'print JSON')
  .action(async (typed: string, options: Options, command: Commander) => {
    const { name, operator = false, tenant, role, permission = [] } = options
    const email = parseEmail(typed)
    const password = parsePassword(await readNewPassword(command, options.passwordStdin))
    const granted = permission as Permission[]
    const membership = tenant === undefined ? undefined : { tenantId: tenant, role, permissions: granted }
    const user = { email, name, password, operator, membership, permissions: membership ? [] : granted }
    await withPlatform(async (_, platform) => {
      const id = await createUser((await platform.ready()).auth, user, null)
      if (options.json) printJson({ id, email, operator, tenant: tenant ?? null })
      else console.log(`Created user ${email}${tenant === undefined ? '' : `, ${role} of ${tenant}`}.`)
    })
  })
