/** Replays and cancels of many runs as a person reads them. */
import type { ActionKind, BulkAction } from '../runs/bulk/action.ts'
import type { Preview } from '../runs/bulk/preview.ts'
import type { Results } from '../runs/bulk/results.ts'
import { formatFields } from './fields.ts'
import { plural, timeText } from './print.ts'
import { type Column, formatTable } from './table.ts'

const verbs: Record<ActionKind, { now: string; ing: string; ed: string }> = {
  replay: { now: 'Replay', ing: 'Replaying', ed: 'Replayed' },
  cancel: { now: 'Cancel', ing: 'Cancelling', ed: 'Cancelled' },
}

export function verb(kind: ActionKind): (typeof verbs)[ActionKind] {
  return verbs[kind]
}

/** `40 runs of 2 tenants` */
export function runsOfTenants(runs: number, { tenantIds }: BulkAction): string {
  return `${plural(runs, 'run')} of ${plural(tenantIds.length, 'tenant')}`
}

const shown = 10

export function previewText(preview: Preview): string {
  const { kind, total, tenants, tasks, counts, refused } = preview
  const some = counts.waiting < total ? `${counts.waiting} of ` : ''
  const parts = [
    `${verbs[kind].now} ${some}${runsOfTenants(total, preview)}:`,
    formatTable(tenants.slice(0, shown), tenantColumns),
    more(tenants.length),
    '',
    formatTable(tasks.slice(0, shown), taskColumns),
    more(tasks.length),
    '',
    completedLaterText(preview),
    counts.refused > 0 ? `${plural(counts.refused, 'run')} cannot be replayed:` : null,
    counts.refused > 0 ? formatTable(refused.slice(0, shown), refusedColumns) : null,
    more(counts.refused),
  ]
  return parts.filter((part) => part !== null).join('\n')
}

/** Null: nothing is known that speaks against a replay. */
function completedLaterText({ kind, total, completedLater, completedLaterOf }: BulkAction): string | null {
  if (kind === 'cancel' || (completedLater === 0 && completedLaterOf === total)) return null
  const ofThem = completedLaterOf === total ? 'them' : `the ${completedLaterOf} that were looked at`
  return `Of ${completedLater} of ${ofThem} a later run has completed.`
}

const runsColumn: Column<{ runs: number }> = {
  title: 'runs',
  value: ({ runs }) => String(runs),
  align: 'right',
}

const tenantColumns: Column<Preview['tenants'][number]>[] = [
  { title: 'tenant', value: ({ tenantId }) => tenantId },
  runsColumn,
]

const taskColumns: Column<Preview['tasks'][number]>[] = [
  { title: 'task', value: ({ taskId }) => taskId },
  runsColumn,
]

const refusedColumns: Column<Preview['refused'][number]>[] = [
  { title: 'run', value: ({ runId }) => runId },
  { title: 'tenant', value: ({ tenantId }) => tenantId, mayCut: true },
  { title: 'task', value: ({ taskId }) => taskId, mayCut: true },
  { title: 'why', value: ({ problem }) => problem ?? '', mayCut: true },
]

function more(count: number): string | null {
  return count > shown ? `and ${count - shown} more` : null
}

/** `1200 of 2000 done, 3 refused, 797 waiting` */
export function countsText({ total, counts: { done, refused, skipped, waiting } }: BulkAction): string {
  const others = Object.entries({ refused, skipped, waiting }).filter(([, count]) => count > 0)
  return [`${done} of ${total} done`, ...others.map(([what, count]) => `${count} ${what}`)].join(', ')
}

/** `900 completed, 12 failed` */
export function resultsText(results: Results): string {
  const some = Object.entries(results).filter(([, count]) => count > 0)
  return some.map(([state, count]) => `${count} ${state}`).join(', ')
}

export function actionText(action: BulkAction, results: Results): string {
  const { id, kind, state, tenantIds, selection, perSecond, reason } = action
  const shownTenants = tenantIds.slice(0, shown).join(', ')
  return formatFields({
    [kind]: id,
    state,
    runs: countsText(action),
    'new runs': resultsText(results),
    tenants: [shownTenants, more(tenantIds.length)].filter(Boolean).join(' '),
    selected:
      'filter' in selection ? JSON.stringify(selection.filter) : `${plural(selection.runIds, 'run')} by id`,
    'completed later': completedLaterText(action) ?? '',
    previewed: `${timeText(action.createdAt)} by ${action.createdBy.name}`,
    confirmed: action.confirmedBy ? `${timeText(action.confirmedAt)} by ${action.confirmedBy.name}` : '',
    reason: reason ?? '',
    pace: perSecond === null ? '' : `${perSecond} a second`,
    finished: timeText(action.finishedAt),
  })
}
