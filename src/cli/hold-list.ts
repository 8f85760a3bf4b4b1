/** `cgk hold:list`: which services are held for which tenants, why, until when, and how many runs wait. */
import { Command } from 'commander'
import { UnknownTenantError } from '../errors.ts'
import type { Hold } from '../holds/hold.ts'
import { printJson, timeText } from './print.ts'
import { withQueue } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface HoldWithRuns extends Hold {
  /** Runs that wait. */
  runs: number
}

export const holdList = new Command('hold:list')
  .description('services that are held: for whom, why, until when, and how many runs wait')
  .option('--tenant <slug>', 'of this tenant')
  .option('--json', 'print JSON')
  .action(async ({ tenant, json }: { tenant?: string; json?: true }) => {
    await withQueue(async (_, platform) => {
      const { holds, engine, directory } = await platform.ready()
      // A slip of the pen must not read as "nothing is held".
      if (tenant !== undefined && !(await directory.find(tenant))) throw new UnknownTenantError(tenant)
      const listed: HoldWithRuns[] = await Promise.all(
        (await holds.list(tenant)).map(async (hold) => ({
          ...hold,
          runs: await engine.countHeld(hold.tenantId, hold.service),
        })),
      )
      if (json) printJson(listed)
      else console.log(listed.length === 0 ? 'Nothing is held.' : formatTable(listed, columns))
    })
  })

const columns: Column<HoldWithRuns>[] = [
  { title: 'tenant', value: ({ tenantId }) => tenantId },
  { title: 'service', value: ({ service }) => service },
  { title: 'why', value: ({ reason }) => reason.replace('_', ' ') },
  { title: 'since', value: ({ placedAt }) => timeText(placedAt) },
  {
    title: 'until',
    value: ({ until, lifted }) =>
      lifted ? 'over, letting go' : until ? timeText(until) : 'a new credential',
  },
  { title: 'runs', value: ({ runs }) => String(runs), align: 'right' },
  { title: 'said', value: ({ code, message }) => `${code}: ${message}`, mayCut: true },
]
