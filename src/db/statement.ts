/**
 * What `sql` makes: a statement that composes (nest one in another) and that runs when it is awaited.
 * Values always travel as parameters. Identifiers go through `identifier`, which quotes.
 */
import { raw, Sql } from 'sql-template-tag'
import { InvalidSqlValueError } from '../errors.ts'

export interface SqlResult<Row> {
  rows: Row[]
  /** Rows read or written, as Postgres counts them. */
  rowCount: number
}

export type StatementRunner = <Row>(statement: Statement<Row>) => Promise<SqlResult<Row>>

export class Statement<Row> extends Sql implements PromiseLike<SqlResult<Row>> {
  readonly #run: StatementRunner
  #answer: Promise<SqlResult<Row>> | null = null

  constructor(strings: readonly string[], values: readonly unknown[], run: StatementRunner) {
    super(strings, values.map(asParameter))
    this.#run = run
  }

  /** Awaiting runs the statement; awaiting it twice still runs it once. */
  // biome-ignore lint/suspicious/noThenProperty: a statement is awaited like a promise, on purpose.
  then<A = SqlResult<Row>, B = never>(
    onAnswer?: ((result: SqlResult<Row>) => A | PromiseLike<A>) | null,
    onError?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#answer ??= this.#run(this)
    return this.#answer.then(onAnswer, onError)
  }

  catch<B>(onError: (reason: unknown) => B | PromiseLike<B>): Promise<SqlResult<Row> | B> {
    return this.then(undefined, onError)
  }

  finally(onEnd: () => void): Promise<SqlResult<Row>> {
    return this.then().finally(onEnd)
  }
}

export interface SqlTag {
  <Row = Record<string, unknown>>(strings: TemplateStringsArray, ...values: unknown[]): Statement<Row>
  /** A quoted identifier: sql.identifier('orders') is "orders", sql.identifier('public', 'users') is "public"."users". */
  identifier(...parts: string[]): Sql
  /** Values or fragments with a separator between them; `, ` by default. */
  join(items: readonly unknown[], separator?: ', ' | ' AND ' | ' OR '): Sql
  /** A value as one JSON parameter (a bare array would travel as a Postgres array). */
  json(value: unknown): Sql
}

/** Builds the `sql` tag whose statements are run by `run`. */
export function createSqlTag(run: StatementRunner): SqlTag {
  const tag = <Row>(strings: TemplateStringsArray, ...values: unknown[]) =>
    new Statement<Row>(strings, values, run)
  return Object.assign(tag, { identifier, join, json })
}

function identifier(...parts: string[]): Sql {
  return raw(parts.map(quoteIdentifier).join('.'))
}

export function quoteIdentifier(name: string): string {
  // Postgres cuts longer names silently, and a cut name could be another table's.
  if (name.length === 0 || Buffer.byteLength(name) > 63 || name.includes('\0')) {
    throw new InvalidSqlValueError('An SQL identifier has 1 to 63 bytes and no NUL character.')
  }
  return `"${name.replaceAll('"', '""')}"`
}

function join(items: readonly unknown[], separator: ', ' | ' AND ' | ' OR ' = ', '): Sql {
  if (items.length === 0)
    throw new InvalidSqlValueError('sql.join got an empty list: there is no SQL for it.')
  const gaps = Array<string>(items.length - 1).fill(separator)
  return new Sql(['', ...gaps, ''], items.map(asParameter) as Sql['values'])
}

function json(value: unknown): Sql {
  return new Sql(['', '::jsonb'], [JSON.stringify(value) ?? 'null'])
}

function asParameter(value: unknown): never {
  if (value === undefined) {
    throw new InvalidSqlValueError('A value in sql`...` is undefined. Use null for SQL NULL.')
  }
  if (typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidSqlValueError(
      `A value in sql\`...\` is a ${typeof value}, which Postgres has no form for.`,
    )
  }
  if (typeof value === 'string' && value.includes('\0')) {
    throw new InvalidSqlValueError('A text in sql`...` has a NUL character, which Postgres cannot store.')
  }
  // An array is a parameter of many values.
  if (Array.isArray(value)) value.forEach(asParameter)
  if (value instanceof Date && Number.isNaN(value.getTime())) {
    throw new InvalidSqlValueError('A Date in sql`...` is invalid.')
  }
  // sql-template-tag types a value as `unknown`-like RawValue; the checks above are the real contract.
  return value as never
}
