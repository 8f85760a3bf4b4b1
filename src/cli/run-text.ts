/** A run as a person reads it. */
import type { Attempt, Run } from '../task/run.ts'
import { durationText, timeText } from './print.ts'
import { type Column, formatTable, plain } from './table.ts'

export type RunWithAttempts = Run & { attempts: Attempt[] }

export function printRun(run: RunWithAttempts): void {
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
    payload: JSON.stringify(run.payload, null, 2),
    output: run.state === 'completed' ? JSON.stringify(run.output, null, 2) : '',
    error: run.error ? (run.error.stack ?? `${run.error.name}: ${run.error.message}`) : '',
  }
  const given = Object.entries(fields).filter(([, text]) => text !== '')
  const indent = Math.max(...given.map(([name]) => name.length)) + 2
  for (const [name, text] of given) console.log(name.padEnd(indent) + hanging(text, indent))
  if (run.attempts.length > 0) console.log(`\nFailed attempts:\n${formatTable(run.attempts, attemptColumns)}`)
}

/** Empty while the run has not ended, or when it never started. */
export function took({ startedAt, finishedAt }: Run): string {
  return startedAt && finishedAt ? durationText(finishedAt.getTime() - startedAt.getTime()) : ''
}

function hanging(text: string, indent: number): string {
  return text
    .split('\n')
    .map(plain)
    .join(`\n${' '.repeat(indent)}`)
}

const attemptColumns: Column<Attempt>[] = [
  { title: 'attempt', value: ({ attempt }) => String(attempt), align: 'right' },
  { title: 'result', value: ({ result }) => result },
  { title: 'started', value: ({ startedAt }) => timeText(startedAt) },
  {
    title: 'took',
    value: ({ startedAt, finishedAt }) => durationText(finishedAt.getTime() - startedAt.getTime()),
    align: 'right',
  },
  { title: 'worker', value: ({ worker }) => worker, mayCut: true },
  { title: 'error', value: ({ error }) => `${error.name}: ${error.message}`, mayCut: true },
]
