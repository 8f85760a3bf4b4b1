/** Replaying and cancelling many runs: preview, confirm, watch, stop. */
import type { Actor } from '../../audit/audit.ts'
import { checkFilter } from '../filter.ts'
import type { ActionFilter, ActionKind, ActionRun, BulkAction, Edit, Selection } from './action.ts'
import { type Confirmation, confirm, stop } from './confirm.ts'
import type { BulkDependencies } from './deps.ts'
import { type Preview, preview } from './preview.ts'
import { type ActionPage, listActions, readAction, readActionRuns } from './read.ts'
import { countResults, type Results } from './results.ts'

export interface Asking {
  /** Who asks, for the audit log; by default the app itself. */
  by?: Actor
  /** Only runs of these tenants exist for who asks; all by default. */
  within?: readonly string[] | null
}

export interface BulkActions {
  /**
   * Finds and writes down the runs, and does nothing to them. `edit` is one payload for one run, or a JSON merge patch
   * for many. @throws InvalidBulkActionError, UnknownRunError, InvalidRunFilterError.
   */
  previewReplay(selection: Selection, options?: Asking & { edit?: Edit | null }): Promise<Preview>
  previewCancel(selection: Selection, options?: Asking): Promise<Preview>
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

const app: Actor = { kind: 'app', id: null, name: 'app' }
const usualPage = 50

export function createBulkActions(ready: () => Promise<BulkDependencies>): BulkActions {
  return {
    async previewReplay(selection, { by = app, within = null, edit = null } = {}) {
      return await preview(await ready(), { kind: 'replay', selection: checked(selection), edit, by, within })
    },

    async previewCancel(selection, { by = app, within = null } = {}) {
      return await preview(await ready(), {
        kind: 'cancel',
        selection: checked(selection),
        edit: null,
        by,
        within,
      })
    },

    async confirm(id, { by = app, within = null, ...rest }) {
      const confirmation: Confirmation = { by, within, ...rest }
      return await confirm(await ready(), id, confirmation)
    },

    async stop(id, { by = app, within = null } = {}) {
      return await stop(await ready(), id, { by, within })
    },

    async get(id, { within = null } = {}) {
      return await readAction((await ready()).database, id, within)
    },

    async list({ within = null, kind, limit = usualPage, after } = {}) {
      const { limit: size } = checkFilter({ limit })
      const page = { within, limit: size, ...(kind && { kind }), ...(after !== undefined && { after }) }
      return await listActions((await ready()).database, page)
    },

    async runs(id, { within = null, after = 0, limit = usualPage } = {}) {
      const { database } = await ready()
      await readAction(database, id, within)
      return await readActionRuns(database, id, { after, limit: checkFilter({ limit }).limit })
    },

    async results(id, { within = null } = {}) {
      const { database, engine } = await ready()
      await readAction(database, id, within)
      return await countResults(database, engine, id)
    },
  }
}

/** What the library was given is checked as a filter of runs is. */
function checked(selection: Selection): Selection {
  if ('runIds' in selection) return selection
  const { limit: _, ...filter } = checkFilter(selection.filter)
  return { filter: filter as ActionFilter }
}
