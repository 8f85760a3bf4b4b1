/**
 * A statement of a tenant and the entering of the tenant, as one message to Postgres.
 *
 * Two statements of the extended protocol with one Sync behind them are one implicit transaction: the first sets role
 * and search_path with transaction scope, the second is the tenant's, and the Sync commits both or neither. So it
 * costs one flight and one answer, nothing outlives it, and if the first fails Postgres skips the second. BEGIN and
 * COMMIT as statements of their own cost a third more.
 *
 * node-postgres has no call for it. Its Query sends itself in `prepare`; this one sends the entering in front. A test
 * holds the two to each other (test/db/statement.test.ts).
 */
import pg from 'pg'
import type { PreparedText } from './connection.ts'
import type { TenantIdentity } from './scope.ts'
import type { SqlResult } from './statement.ts'

/** The part of node-postgres's wire connection that a query speaks to. */
interface WireConnection {
  parse(message: { text: string }): void
  bind(message: { values: readonly string[] }): void
  execute(message: object): void
}

type WireQuery = new (
  config: object,
) => {
  callback: (error: Error | null, results?: pg.QueryResult | pg.QueryResult[]) => void
  prepare(connection: WireConnection): void
}

const Query = pg.Query as unknown as WireQuery

/** Answers no row, so that no row description need be asked for. Evaluated left to right: neither is ever NULL. */
const enterSql =
  "SELECT 1 WHERE set_config('role', $1, true) IS NULL OR set_config('search_path', $2, true) IS NULL"

class TenantQuery extends Query {
  readonly #enter: readonly string[]

  constructor(statement: PreparedText, enter: readonly string[]) {
    super({ text: statement.text, values: statement.values, queryMode: 'extended' })
    this.#enter = enter
  }

  override prepare(connection: WireConnection): void {
    connection.parse({ text: enterSql })
    connection.bind({ values: this.#enter })
    connection.execute({})
    super.prepare(connection)
  }
}

/** `searchPath` is SQL text: its names are quoted already. */
export function sendTenantQuery<Row>(
  client: pg.ClientBase,
  tenant: TenantIdentity,
  searchPath: string,
  statement: PreparedText,
): Promise<SqlResult<Row>> {
  return new Promise((resolve, reject) => {
    const query = new TenantQuery(statement, [tenant.role, searchPath])
    query.callback = (error, results) => {
      if (error) return reject(error)
      // The entering's result comes first. An empty statement has none of its own.
      const answer = Array.isArray(results) ? results[1] : undefined
      resolve({ rows: (answer?.rows ?? []) as Row[], rowCount: answer?.rowCount ?? 0 })
    }
    client.query(query as unknown as pg.Submittable)
  })
}
