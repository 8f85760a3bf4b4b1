/** `cgk user:list`: who there is, and who belongs where. */
import { Command } from 'commander'
import type { User } from '../auth/users.ts'
import { UnknownTenantError } from '../errors.ts'
import { printJson, timeText } from './print.ts'
import { type Column, formatTable } from './table.ts'
import { withPeople } from './with-people.ts'

export const userList = new Command('user:list')
  .description('list the users')
  .option('--tenant <slug>', 'the people of this tenant')
  .option('--json', 'print JSON')
  .action(async ({ tenant, json }: { tenant?: string; json?: true }) => {
    await withPeople(async ({ listUsers }, auth, { directory }) => {
      if (tenant !== undefined && !(await directory.find(tenant))) throw new UnknownTenantError(tenant)
      const users = await listUsers(auth, tenant)
      if (json) printJson(users)
      else console.log(users.length === 0 ? 'No users.' : formatTable(users, columns))
    })
  })

const columns: Column<User>[] = [
  { title: 'email', value: ({ email }) => email },
  { title: 'name', value: ({ name }) => name ?? '', mayCut: true },
  {
    title: 'status',
    value: ({ status, addressConfirmed }) => (addressConfirmed ? status : `${status}, unconfirmed`),
  },
  { title: 'is', value: standing, mayCut: true },
  { title: 'last login', value: ({ lastLoginAt }) => timeText(lastLoginAt) },
]

/** `operator +payload:read, owner of rawdog -payload:read, member of acme` */
function standing({ operator, permissions, memberships }: User): string {
  const tenants = memberships.map((one) => withExtra(`${one.role} of ${one.tenantId}`, one))
  return [...(operator ? [withExtra('operator', { permissions, withheld: [] })] : []), ...tenants].join(', ')
}

function withExtra(
  role: string,
  { permissions, withheld }: { permissions: readonly string[]; withheld: readonly string[] },
): string {
  return [role, ...permissions.map((one) => `+${one}`), ...withheld.map((one) => `-${one}`)].join(' ')
}
