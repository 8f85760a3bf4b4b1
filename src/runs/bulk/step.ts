/**
 * One step of a bulk action: as many runs as it may take in a second. The row of the action is locked meanwhile, so of
 * many processes one does it. Where the engine is in the database, new runs and the note of them commit together;
 * elsewhere a step that is repeated asks for the same runs by the same ids.
 */

import { leaveScopes } from '../../db/scope.ts'
import { portions } from '../../portions.ts'
import type { RunRequest } from '../../task/run.ts'
import { toReplayRequest } from '../replay.ts'
import type { ActionKind, ActionRun, Edit } from './action.ts'
import type { BulkDependencies } from './deps.ts'
import { acceptEdited } from './edit.ts'

interface Taken {
  id: string
  kind: ActionKind
  edit: Edit | null
  perSecond: number
  confirmedAt: Date
}

type Waiting = Pick<ActionRun, 'number' | 'runId' | 'newRunId'>
type Done = Pick<ActionRun, 'number' | 'state' | 'problem'>

const cancelledAtOnce = 10

/** False: no action is due, or others do it. */
export async function takeStep(dependencies: BulkDependencies): Promise<boolean> {
  const { database } = dependencies
  let taken: Taken | undefined
  try {
    return await leaveScopes(() =>
      database.transaction(async () => {
        // A process that is frozen in the middle must not keep the others waiting.
        await database.sql`SET LOCAL idle_in_transaction_session_timeout = '60s'`
        taken = await takeAction(dependencies)
        if (taken) await doStep(taken, dependencies)
        return taken !== undefined
      }),
    )
  } catch (error) {
    if (taken) await putOff(taken, dependencies)
    throw error
  }
}

async function doStep(action: Taken, dependencies: BulkDependencies): Promise<void> {
  const waiting = await takeWaiting(action, dependencies)
  const done =
    action.kind === 'replay'
      ? await replay(action, waiting, dependencies)
      : await cancel(action, waiting, dependencies)
  await note(action, done, dependencies)
  if (waiting.length < action.perSecond) await finish(action, dependencies)
}

/** The others are not to wait for it. */
async function putOff(action: Taken, { database: { sql } }: BulkDependencies): Promise<void> {
  await sql`
    UPDATE public.platform_bulk_actions SET next_step_at = now() + interval '30 seconds'
    WHERE id = ${action.id} AND state = 'running'`
}

/** Index: platform_bulk_actions_running. */
async function takeAction({ database: { sql } }: BulkDependencies): Promise<Taken | undefined> {
  const { rows } = await sql<Taken>`
    SELECT id, kind, edit, per_second AS "perSecond", confirmed_at AS "confirmedAt" FROM public.platform_bulk_actions
    WHERE state = 'running' AND next_step_at <= now() ORDER BY next_step_at LIMIT 1
    FOR UPDATE SKIP LOCKED`
  return rows[0]
}

/** Locked in their order, as the deletion of a tenant locks them. Index: platform_bulk_action_runs_waiting. */
async function takeWaiting(action: Taken, { database: { sql } }: BulkDependencies): Promise<Waiting[]> {
  const { rows } = await sql<Waiting>`
    SELECT number, run_id AS "runId", new_run_id AS "newRunId" FROM public.platform_bulk_action_runs
    WHERE action_id = ${action.id} AND state = 'waiting' ORDER BY number LIMIT ${action.perSecond}
    FOR UPDATE`
  return rows
}

async function replay(
  { edit }: Taken,
  waiting: readonly Waiting[],
  { engine, dispatcher }: BulkDependencies,
): Promise<Done[]> {
  const found = await leaveScopes(() => engine.getMany(waiting.map(({ runId }) => runId)))
  const runs = new Map(found.map((run) => [run.id, run]))
  const requests: RunRequest[] = []
  const done = await Promise.all(
    waiting.map(async ({ number, runId, newRunId }): Promise<Done> => {
      const run = runs.get(runId)
      if (!run) return { number, state: 'refused', problem: 'The run is not there any more.' }
      // Once more: the task may be another one than when it was previewed.
      const accepted = await leaveScopes(() => acceptEdited(run, edit, dispatcher))
      if ('problem' in accepted) return { number, state: 'refused', problem: accepted.problem }
      requests.push({ ...toReplayRequest(accepted.task, run, accepted.input, newRunId!), repeatable: true })
      return { number, state: 'done', problem: null }
    }),
  )
  if (requests.length === 0) return done
  if (engine.enqueuesInTransaction) await dispatcher.enqueue(requests)
  else await leaveScopes(() => dispatcher.enqueue(requests))
  return done
}

async function cancel(
  { confirmedAt }: Taken,
  waiting: readonly Waiting[],
  { engine }: BulkDependencies,
): Promise<Done[]> {
  const done: Done[] = []
  for (const some of portions(waiting, cancelledAtOnce)) {
    const answers = await leaveScopes(() => Promise.all(some.map(({ runId }) => engine.cancel(runId))))
    const late = some.filter((_, index) => !answers[index]).map(({ runId }) => runId)
    const cancelled = await cancelledSince(confirmedAt, late, engine)
    for (const { number, runId } of some) {
      const ended = late.includes(runId) && !cancelled.has(runId)
      done.push(
        ended
          ? { number, state: 'skipped', problem: 'It had ended already.' }
          : { number, state: 'done', problem: null },
      )
    }
  }
  return done
}

/** A step that is repeated finds what it has cancelled. */
async function cancelledSince(
  since: Date,
  runIds: readonly string[],
  engine: BulkDependencies['engine'],
): Promise<Set<string>> {
  if (runIds.length === 0) return new Set()
  const runs = await leaveScopes(() => engine.getMany(runIds))
  const cancelled = runs.filter(
    ({ state, finishedAt }) => state === 'cancelled' && finishedAt !== null && finishedAt >= since,
  )
  return new Set(cancelled.map(({ id }) => id))
}

async function note(
  action: Taken,
  done: readonly Done[],
  { database: { sql } }: BulkDependencies,
): Promise<void> {
  await sql`
    UPDATE public.platform_bulk_action_runs AS run SET state = done.state, problem = done.problem
    FROM unnest(
      ${done.map(({ number }) => number)}::int[], ${done.map(({ state }) => state)}::text[],
      ${done.map(({ problem }) => problem)}::text[]
    ) AS done (number, state, problem)
    WHERE action_id = ${action.id} AND run.number = done.number`
  await sql`
    UPDATE public.platform_bulk_actions SET
      done = done + ${count(done, 'done')}, refused = refused + ${count(done, 'refused')},
      skipped = skipped + ${count(done, 'skipped')}, next_step_at = clock_timestamp() + interval '1 second'
    WHERE id = ${action.id}`
}

function count(done: readonly Done[], wanted: Done['state']): number {
  return done.filter(({ state }) => state === wanted).length
}

/** What is left by now was of tenants that are deleted. */
async function finish(action: Taken, { database: { sql } }: BulkDependencies): Promise<void> {
  await sql`
    UPDATE public.platform_bulk_actions
    SET state = 'completed', skipped = total - done - refused, finished_at = now(), next_step_at = NULL
    WHERE id = ${action.id}`
}
