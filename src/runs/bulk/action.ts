/** A bulk action: many runs that are replayed or cancelled as one. Its rows are platform_bulk_actions and their runs. */
import type { Actor } from '../../audit/audit.ts'
import type { RunFilter } from '../../engines/engine.ts'
import type { JsonValue } from '../../task/json.ts'

export type ActionKind = 'replay' | 'cancel'
/** `previewed` has done nothing yet, and does nothing until it is confirmed. */
export type ActionState = 'previewed' | 'running' | 'completed' | 'stopped'

/** Which runs: these, or all that match. Of a replay those that have ended, of a cancel those that are open. */
export type Selection = { runIds: readonly string[] } | { filter: ActionFilter }
export type ActionFilter = Omit<Partial<RunFilter>, 'limit' | 'after'>

/** How the payload of a replay is changed: whole (a single run), or by a JSON merge patch (RFC 7396). */
export type Edit = { payload: JsonValue } | { patch: JsonValue }

export interface BulkAction {
  id: string
  kind: ActionKind
  state: ActionState
  /** How the runs were selected; of ids, how many. */
  selection: { filter: ActionFilter } | { runIds: number }
  /** How many runs it is about, and what has become of them. */
  total: number
  counts: {
    waiting: number
    done: number
    /** Cannot be replayed: the task as it is now does not take the payload, or the run is gone. */
    refused: number
    /** It was stopped before them, their tenant was deleted, or (of a cancel) they had ended already. */
    skipped: number
  }
  /** Of a replay: of how many there is a later run, with the same payload or as its replay, that has completed. */
  completedLater: number
  /** Of how many that was looked for: not of all where there are so many that it would take too long. */
  completedLaterOf: number
  tenantIds: string[]
  createdAt: Date
  createdBy: Actor
  /** Until when it can be confirmed. */
  expiresAt: Date
  confirmedAt: Date | null
  confirmedBy: Actor | null
  reason: string | null
  /** Runs a second, at most. */
  perSecond: number | null
  finishedAt: Date | null
}

export interface ActionRun {
  number: number
  runId: string
  taskId: string
  tenantId: string
  newRunId: string | null
  state: 'waiting' | 'done' | 'refused' | 'skipped'
  problem: string | null
}
