/** What the doctor finds, and how a check says it: a sentence of what there is, and one of what to do about it. */

export type FindingState = 'ok' | 'warning' | 'problem'

export interface Finding {
  /** The name of the check. */
  check: string
  state: FindingState
  found: string
  /** Null where there is nothing to do. */
  todo: string | null
}

/** A finding whose check is known from where it comes. */
export type Said = Omit<Finding, 'check'>

export function ok(found: string): Said {
  return { state: 'ok', found, todo: null }
}

/** It works, and will not always, or not as it could. */
export function warning(found: string, todo: string): Said {
  return { state: 'warning', found, todo }
}

/** Something does not work. */
export function problem(found: string, todo: string): Said {
  return { state: 'problem', found, todo }
}

/** The problems and warnings, or the one sentence that all is well. */
export function orOk(said: readonly (Said | null | false)[], found: string): Said[] {
  const all = said.filter((one) => one !== null && one !== false)
  return all.length > 0 ? all : [ok(found)]
}

const named = 5

/** `a, b, c and 4 others`: as many as a person reads. */
export function some(names: readonly string[]): string {
  const rest = names.length - named
  const shown = names.slice(0, named).join(', ')
  return rest > 0 ? `${shown} and ${rest} ${rest === 1 ? 'other' : 'others'}` : shown
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}
