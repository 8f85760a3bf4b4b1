/** `cgk audit:list`: who did what to which tenant, and why; newest first. */
import { Command } from 'commander'
import type { AuditEntry } from '../audit/audit.ts'
import { wholeNumber } from './arguments.ts'
import { given } from './given.ts'
import { printJson, timeText } from './print.ts'
import { withPlatform } from './session.ts'
import { type Column, formatTable } from './table.ts'

interface Options {
  tenant?: string
  action?: string
  limit?: number
  after?: string
  json?: true
}

export const auditList = new Command('audit:list')
  .description('who did what to which tenant, and why; newest first')
  .option('--tenant <slug>', 'only what concerns this tenant, deleted or not')
  .option('--action <name>', 'only this: run.replay, run.cancel, ...')
  .option('--limit <n>', 'entries on a page, 1 to 1000', wholeNumber, 50)
  .option('--after <cursor>', 'the next page: what the page before ended with')
  .option('--json', 'print JSON: { entries, next }')
  .action(async ({ tenant, action, limit, after, json }: Options) => {
    await withPlatform(async ({ audit }) => {
      const tenantIds = tenant === undefined ? undefined : [tenant]
      const page = await audit.list(given({ tenantIds, action, limit, after }))
      if (json) return printJson(page)
      console.log(page.entries.length === 0 ? 'No entries.' : formatTable(page.entries, columns))
      if (page.next !== null) console.log(`\nMore: add --after '${page.next}'`)
    })
  })

const columns: Column<AuditEntry>[] = [
  { title: 'when', value: ({ at }) => timeText(at) },
  { title: 'who', value: ({ actor }) => `${actor.kind} ${actor.name}`, mayCut: true },
  { title: 'did', value: ({ action }) => action },
  { title: 'tenant', value: ({ tenantId }) => tenantId ?? '', mayCut: true },
  { title: 'to', value: ({ subject }) => subject ?? '', mayGo: true },
  { title: 'details', value: detailsText, mayCut: true, mayGo: true },
  { title: 'why', value: ({ reason }) => reason ?? '', mayCut: true },
]

/** `runs 40` */
function detailsText({ details }: AuditEntry): string {
  return Object.entries(details)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ')
}
