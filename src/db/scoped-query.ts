/**
 * A statement with settings that hold for it alone, as one message to Postgres: the way into a tenant (role and
 * search_path), or into a plan (the planner's switches).
 *
 * Two statements of the extended protocol with one Sync behind them are one implicit transaction: the first sets the
 * settings with transaction scope, the second is the caller's, and the Sync commits both or neither. So it costs one
 * flight and one answer, nothing outlives it, and if the first fails Postgres skips the second. BEGIN and COMMIT as
 * statements of their own cost a third more.
 *
 * node-postgres has no call for it. Its Query sends itself in `prepare`; this one sends the settings in front. A test
 * holds the two to each other (test/db/statement.test.ts).
 */
import pg from 'pg'
import type { PreparedText } from './connection.ts'
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

/** Name, value, name, value: as they travel, for this is done for every statement. */
export type Settings = readonly string[]

/** Answers no row, so that no row description need be asked for. Evaluated left to right: none is ever NULL. */
function settingsSql(count: number): string {
  const set = Array.from(
    { length: count },
    (_, at) => `set_config($${2 * at + 1}, $${2 * at + 2}, true) IS NULL`,
  )
  return `SELECT 1 WHERE ${set.join(' OR ')}`
}

const settingsTexts = [0, 1, 2, 3, 4, 5].map(settingsSql)

class ScopedQuery extends Query {
  readonly #settings: Settings

  constructor(statement: PreparedText, settings: Settings) {
    super({ text: statement.text, values: statement.values, queryMode: 'extended' })
    this.#settings = settings
  }

  override prepare(connection: WireConnection): void {
    connection.parse({ text: settingsTexts[this.#settings.length / 2]! })
    connection.bind({ values: this.#settings })
    connection.execute({})
    super.prepare(connection)
  }
}

export function sendScoped<Row>(
  client: pg.ClientBase,
  settings: Settings,
  statement: PreparedText,
): Promise<SqlResult<Row>> {
  return new Promise((resolve, reject) => {
    const query = new ScopedQuery(statement, settings)
    query.callback = (error, results) => {
      if (error) return reject(error)
      // The settings' result comes first. An empty statement has none of its own.
      const answer = Array.isArray(results) ? results[1] : undefined
      resolve({ rows: (answer?.rows ?? []) as Row[], rowCount: answer?.rowCount ?? 0 })
    }
    client.query(query as unknown as pg.Submittable)
  })
}
