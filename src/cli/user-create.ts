/** `cgk user:create`: an account, with what it may from the start. */
import { Command, Option } from 'commander'
import { type Permission, permissions, type TenantRole, tenantRoles } from '../auth/permissions.ts'
import { list } from './arguments.ts'
import { readNewPassword } from './new-password.ts'
import { printJson } from './print.ts'
import { record } from './record.ts'
import { loadPeople, withPeople } from './with-people.ts'

interface Options {
  name?: string
  operator?: true
  tenant?: string
  role?: TenantRole
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
  .addOption(new Option('--role <role>', 'in that tenant; member by default').choices(tenantRoles))
  .option(
    '--permission <names>',
    `beyond the role, in that tenant or as an operator: ${permissions.join(', ')}`,
    list,
  )
  .option('--password-stdin', 'read the password from stdin')
  .option('--json', 'print JSON')
  .action(async (typed: string, options: Options, command: Command) => {
    const { name, operator = false, tenant, role = 'member', permission = [] } = options
    if (options.role && tenant === undefined) command.error('error: a --role is one in a --tenant')
    const { parseEmail, parsePassword } = await loadPeople()
    const email = parseEmail(typed)
    const password = parsePassword(await readNewPassword(command, options.passwordStdin))
    const granted = permission as Permission[]
    const membership = tenant === undefined ? undefined : { tenantId: tenant, role, permissions: granted }
    const user = { email, name, password, operator, membership, permissions: membership ? [] : granted }
    await withPeople(async ({ createUser }, auth, started) => {
      const id = await createUser(auth, user, null)
      await record(started, {
        action: 'user.create',
        tenantId: tenant ?? null,
        subject: id,
        details: { operator, role: membership?.role ?? null },
      })
      if (options.json) printJson({ id, email, operator, tenant: tenant ?? null })
      else console.log(`Created user ${email}${tenant === undefined ? '' : `, ${role} of ${tenant}`}.`)
    })
  })
