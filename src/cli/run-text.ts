/** A run as a person reads it. */
import type { RunProgress } from '../runs/journal/progress.ts'
import type { RunLogLine } from '../runs/journal/read-lines.ts'
import type { RunError } from '../task/json.ts'
import type { Attempt, Run } from '../task/run.ts'
import { formatFields } from './fields.ts'
import { TextPrinter } from './log-text.ts'
import { durationText, timeText } from './print.ts'
import { type Column, formatTable, plain } from './table.ts'

export type RunWithAttempts = Run & { attempts: Attempt[] }

/** What a run has told of itself. */
export interface ToldByRun {
  progress: RunProgress | null
  lines: readonly RunLogLine[]
}

export function printRun(
  run: RunWithAttempts,
  { progress, lines }: ToldByRun = { progress: null, lines: [] },
): void {
  const fields: Record<string, string> = {
    run: run.id,
    task: run.taskId,
    tenant: run.tenantId,
    state: `${run.state}${run.attempt > 0 ? `, attempt ${run.attempt} of ${run.maxAttempts || '?'}` : ''}`,
    created: timeText(run.createdAt),
    due: run.startedAt ? '' : timeText(run.runAt),
    started: timeText(run.startedAt),
    finished: [timeText(run.finishedAt), took(run) && `(took ${took(run)})`].join(' ').trim(),
    priority: run.priority === 0 ? '' : String(run.priority),
    tags: run.tags.map(plain).join(', '),
    'idempotency key': plain(run.idempotencyKey ?? ''),
    'triggered by': [run.triggeredBy.kind, run.triggeredBy.ref ?? ''].join(' ').trim(),
    'replay of': run.replayOf ?? '',
    'parent run': run.parentRunId ?? '',
    worker: run.worker ?? '',
    credentials: Object.entries(run.credentials)
      .map(([service, version]) => `${service} ${version.slice(0, 12)}`)
      .join(', '),
    failure: run.fingerprint ?? '',
    progress: progress === null ? '' : progressText(progress),
    payload: JSON.stringify(run.payload, null, 2),
    output: run.state === 'completed' ? JSON.stringify(run.output, null, 2) : '',
    error: run.error ? (run.error.stack ?? errorText(run.error)) : '',
  }
  console.log(formatFields(fields))
  if (run.attempts.length > 0) console.log(`\nFailed attempts:\n${formatTable(run.attempts, attemptColumns)}`)
  if (lines.length === 0) return
  console.log('\nLast lines of its log:')
  const printer = new TextPrinter()
  for (const line of lines) printer.line(line)
}

/** Empty while the run has not ended, or when it never started. */
export function took({ startedAt, finishedAt }: Run): string {
  return startedAt && finishedAt ? durationText(finishedAt.getTime() - startedAt.getTime()) : ''
}

/** `40 %, 4 of 10, Fetching orders (2026-11-23 13:57:55Z)` */
function progressText({ fraction, current, total, message, at }: RunProgress): string {
  const told = [
    fraction === null ? '' : `${Math.floor(fraction * 100)} %`,
    current === null ? '' : `${current}${total === null ? '' : ` of ${total}`}`,
    message ?? '',
  ]
  return `${told.filter((text) => text !== '').join(', ')} (${timeText(at)})`
}

function errorText({ name, code, message }: RunError): string {
  return `${name}${code === null ? '' : ` (${code})`}: ${message}`
}

const attemptColumns: Column<Attempt>[] = [
  { title: 'attempt', value: ({ attempt }) => String(attempt), align: 'right' },
  { title: 'result', value: ({ result }) => result },
  { title: 'started', value: ({ startedAt }) => timeText(startedAt), mayGo: true },
  {
    title: 'took',
    value: ({ startedAt, finishedAt }) => durationText(finishedAt.getTime() - startedAt.getTime()),
    align: 'right',
    mayGo: true,
  },
  { title: 'worker', value: ({ worker }) => worker, mayCut: true },
  { title: 'error', value: ({ error }) => errorText(error), mayCut: true },
]
