/** The runs that a selection means, page by page, as they are now. */

import type { Engine } from '../../engines/engine.ts'
import { InvalidRunFilterError, UnknownRunError } from '../../errors.ts'
import { portions } from '../../portions.ts'
import { finalStates, openStates, type Run, type RunState } from '../../task/run.ts'
import type { ActionKind, Selection } from './action.ts'

export interface SelectOptions {
  kind: ActionKind
  selection: Selection
  /** Only runs of these tenants exist for who asks; null: of all. */
  within: readonly string[] | null
}

const runsPerPage = 1_000

/** Runs that have ended can be replayed, open ones cancelled. */
const eligible: Record<ActionKind, readonly RunState[]> = { replay: finalStates, cancel: openStates }

/** @throws UnknownRunError, InvalidRunFilterError. */
export async function* selectRuns(engine: Engine, options: SelectOptions): AsyncGenerator<Run[]> {
  if ('runIds' in options.selection) yield* selectByIds(engine, options.selection.runIds, options)
  else yield* selectByFilter(engine, options)
}

async function* selectByIds(
  engine: Engine,
  runIds: readonly string[],
  { kind, within }: SelectOptions,
): AsyncGenerator<Run[]> {
  for (const asked of portions([...new Set(runIds)], runsPerPage)) {
    const found = new Map((await engine.getMany(asked)).map((run) => [run.id, run]))
    const page = asked.map((id) => {
      const run = found.get(id)
      if (!run || (within && !within.includes(run.tenantId))) throw new UnknownRunError(id)
      return run
    })
    yield page.filter(({ state }) => eligible[kind].includes(state))
  }
}

async function* selectByFilter(engine: Engine, options: SelectOptions): AsyncGenerator<Run[]> {
  const { kind, selection, within } = options
  const { filter } = selection as { filter: Exclude<Selection, { runIds: unknown }>['filter'] }
  const states = (filter.states ?? eligible[kind]).filter((state) => eligible[kind].includes(state))
  if (states.length === 0) {
    throw new InvalidRunFilterError(
      `A ${kind} is of runs that are ${eligible[kind].join(', ')}: select some of these states, or none.`,
    )
  }
  for (const tenantId of tenantsOf(filter.tenantId, within)) {
    let after: string | null = null
    do {
      const page = await engine.list({
        ...filter,
        ...(tenantId !== null && { tenantId }),
        states,
        limit: runsPerPage,
        ...(after !== null && { after }),
      })
      if (page.runs.length > 0) yield page.runs
      after = page.next
    } while (after !== null)
  }
}

/** Null: all at once. A tenant that is not to be seen has no runs. */
function tenantsOf(given: string | undefined, within: readonly string[] | null): (string | null)[] {
  if (within === null) return [given ?? null]
  if (given === undefined) return [...within]
  return within.includes(given) ? [given] : []
}
