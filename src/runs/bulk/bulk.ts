/**
 * Replaying and cancelling many runs: preview, confirm, watch, stop. Inside a tenant's context the runs of other tenants
 * do not exist. What is written is the platform's, and apart from a transaction that the caller may be in.
 */
import { type Actor, theApp } from '../../audit/audit.ts'
import { leaveScopes } from '../../db/scope.ts'
import { surroundingTenant } from '../../tenants/surrounding.ts'
import { checkFilter } from '../filter.ts'
import type { ActionFilter, ActionKind, ActionRun, BulkAction, Edit, Selection } from './action.ts'
import { confirm, stop } from './confirm.ts'
import type { BulkDependencies } from './deps.ts'
import { type Preview, preview } from './preview.ts'
import { type ActionPage, listActions, readAction, readActionRuns } from './read.ts'
import { countResults, type Results } from './results.ts'

export interface Asking {
  /** Who asks, for the audit log; by default the app itself. */
  by?: Actor
  /** Only runs of these tenants exist for who asks; all by default. */
  within?: Within
}

type Within = readonly string[] | null

export interface PreviewOptions extends Asking {
  /** Ends the search for the runs when nobody waits for the answer any more. */
  signal?: AbortSignal
}

export interface BulkActions {
  /**
   * Finds and writes down the runs, and does nothing to them. `edit` is one payload for one run, or a JSON merge patch
   * for many. @throws InvalidBulkActionError, UnknownRunError, InvalidRunFilterError.
   */
  previewReplay(selection: Selection, options?: PreviewOptions & { edit?: Edit | null }): Promise<Preview>
  previewCancel(selection: Selection, options?: PreviewOptions): Promise<Preview>
  /** Does it, for exactly the runs of the preview, at most `perSecond` of them a second (200). Twice is once. */
  confirm(id: string, options: Asking & { reason: string; perSecond?: number }): Promise<BulkAction>
  /** Leaves alone what has not been done yet. */
  stop(id: string, options?: Asking): Promise<BulkAction>
  /** How far it is. @throws UnknownBulkActionError. */
  get(id: string, options?: Pick<Asking, 'within'>): Promise<BulkAction>
  /** Newest first; replays and cancels unless `kind` says which. */
  list(
    options?: Pick<Asking, 'within'> & { kind?: ActionKind; limit?: number; after?: string },
  ): Promise<ActionPage>
  /** Each run and its new one, in order; `after` is the number of the last one seen. */
  runs(
    id: string,
    options?: Pick<Asking, 'within'> & { after?: number; limit?: number },
  ): Promise<ActionRun[]>
  /** Of a replay: how many of its new runs are in which state. */
  results(id: string, options?: Pick<Asking, 'within'>): Promise<Results>
}

const usualPage = 50

export function createBulkActions(ready: () => Promise<BulkDependencies>): BulkActions {
  const apart = async <T>(
    within: Within,
    act: (dependencies: BulkDependencies, within: Within) => Promise<T>,
  ): Promise<T> => {
    const dependencies = await ready()
    const visible = narrow(within, surroundingTenant('bulkActions'))
    return await leaveScopes(() => act(dependencies, visible))
  }
  const previewOf = async (
    kind: ActionKind,
    given: Selection,
    { by = theApp, within = null, edit = null, signal }: PreviewOptions & { edit?: Edit | null },
  ): Promise<Preview> => {
    const selection = checked(given)
    return await apart(within, (dependencies, visible) =>
      preview(dependencies, { kind, selection, edit, by, within: visible, signal: signal ?? null }),
    )
  }

  return {
    previewReplay: (selection, options = {}) => previewOf('replay', selection, options),

    previewCancel: (selection, options = {}) => previewOf('cancel', selection, options),

    confirm: (id, { by = theApp, within = null, ...rest }) =>
      apart(within, (dependencies, visible) => confirm(dependencies, id, { by, within: visible, ...rest })),

    stop: (id, { by = theApp, within = null } = {}) =>
      apart(within, (dependencies, visible) => stop(dependencies, id, { by, within: visible })),

    get: (id, { within = null } = {}) =>
      apart(within, ({ database }, visible) => readAction(database, id, visible)),

    async list({ within = null, kind, limit = usualPage, after } = {}) {
      const page = {
        limit: checkFilter({ limit }).limit,
        ...(kind && { kind }),
        ...(after !== undefined && { after }),
      }
      return await apart(within, ({ database }, visible) =>
        listActions(database, { within: visible, ...page }),
      )
    },

    async runs(id, { within = null, after = 0, limit = usualPage } = {}) {
      const page = { after, limit: checkFilter({ limit }).limit }
      return await apart(within, async ({ database }, visible) => {
        await readAction(database, id, visible)
        return await readActionRuns(database, id, page)
      })
    },

    results: (id, { within = null } = {}) =>
      apart(within, async ({ database, engine }, visible) => {
        await readAction(database, id, visible)
        return await countResults(database, engine, id)
      }),
  }
}

function narrow(within: Within, tenantId: string | null): Within {
  if (tenantId === null) return within
  return within === null || within.includes(tenantId) ? [tenantId] : []
}

/** What the library was given is checked as a filter of runs is. */
function checked(selection: Selection): Selection {
  if ('runIds' in selection) return selection
  const { limit: _, ...filter } = checkFilter(selection.filter)
  return { filter: filter as ActionFilter }
}
