/**
 * Statements that end the transaction, change the role or search_path, or leave something on the pooled connection.
 * A tenant's statement runs in a transaction of the platform's, so these would leave the tenant or outlive it.
 * This guards against mistakes; the tenant's database role is the wall.
 */
import { ForbiddenStatementError } from '../errors.ts'

/** DO hides its statements in a text; COPY over this protocol leaves the connection waiting for ever. */
const forbidden = new Set(
  `begin start commit end rollback abort savepoint release prepare execute deallocate discard listen unlisten reset
   declare load do copy`.split(/\s+/),
)
const belongsToThePlatform = new Set(['role', 'search_path', 'session', 'schema'])
const forbiddenCall =
  /\b(set_config|pg_(?:try_)?advisory_lock(?:_shared)?)"?(?:\s|\/\*[\s\S]*?\*\/|--[^\n]*\n)*\(/i
/** U&"\0073et_config" is a name that nobody can read, so it could be any of the above. */
const escapedName = /\bu&"/i
const intoTemporary = /(?<!\b(?:insert|merge)\s+)\binto\s+(?:(?:local|global)\s+)?temp(?:orary)?\b/i

/** An app sends the same texts again and again, and reading one costs as much as sending it. */
const harmless = new Set<string>()
const remembered = 2_000

/** @throws ForbiddenStatementError */
export function refuseForbidden(text: string): void {
  if (harmless.has(text)) return
  const found = forbiddenIn(text)
  if (found) throw new ForbiddenStatementError(found.toUpperCase())
  // Texts that are made up as they come never repeat: forgetting all keeps it small.
  if (harmless.size >= remembered) harmless.clear()
  harmless.add(text)
}

function forbiddenIn(text: string): string | undefined {
  const words = leadingWords(text, 3)
  return (
    forbiddenStart(text, words) ??
    forbiddenCall.exec(text)?.[1] ??
    intoTemporary.exec(text)?.[0] ??
    escapedName.exec(text)?.[0]
  )
}

function forbiddenStart(text: string, [first = '', ...next]: string[]): string | undefined {
  if (forbidden.has(first)) return first
  if (first === 'set') return forbiddenSetting(next)
  if (first === 'create') return lastingTemporary(text, next)
  return undefined
}

/** SET LOCAL and SET CONSTRAINTS end with the transaction. */
function forbiddenSetting([scope, name]: string[]): string | undefined {
  if (scope === 'constraints') return undefined
  if (scope !== 'local') return 'set'
  return name === undefined || belongsToThePlatform.has(name) ? `set local ${name}` : undefined
}

/** A temporary table stays on its connection, for whoever comes next, unless it goes with the transaction. */
function lastingTemporary(text: string, [second, third]: string[]): string | undefined {
  const kind = second === 'local' || second === 'global' ? third : second
  const temporary = kind === 'temp' || kind === 'temporary' || /\bpg_temp\b/i.test(text)
  return temporary && !/\bon\s+commit\s+drop\b/i.test(text)
    ? 'create temporary without on commit drop'
    : undefined
}

const blank = /[\s;]+|--[^\n]*/y
const word = /"?([a-z_]+)"?/iy

/** The first words in lower case. What Postgres skips or unquotes cannot hide one. */
function leadingWords(text: string, count: number): string[] {
  const words: string[] = []
  for (let at = 0; words.length < count; at = word.lastIndex) {
    word.lastIndex = afterBlank(text, at)
    const found = word.exec(text)
    if (!found) break
    words.push(found[1]!.toLowerCase())
  }
  return words
}

function afterBlank(text: string, start: number): number {
  for (let at = start; ; ) {
    blank.lastIndex = at
    if (blank.test(text)) at = blank.lastIndex
    else if (text.startsWith('/*', at)) at = afterComment(text, at)
    else return at
  }
}

const commentEdge = /\/\*|\*\//g

/** Comments nest. One that does not end is a syntax error, and so is what follows. */
function afterComment(text: string, start: number): number {
  commentEdge.lastIndex = start
  for (let depth = 0; ; ) {
    const edge = commentEdge.exec(text)
    if (!edge) return text.length
    depth += edge[0] === '/*' ? 1 : -1
    if (depth === 0) return commentEdge.lastIndex
  }
}
