/** Reading the log of a run, page by page. */
import { pino } from 'pino'
import type { Database } from '../../db/database.ts'
import type { JsonValue } from '../../task/json.ts'

export interface RunLogLine {
  /** Which of the run's lines it is, over all attempts, from 1. A gap before it: lines that were not kept. */
  seq: number
  attempt: number
  /** `trace`, `debug`, `info`, `warn`, `error` or `fatal`; the number of a level of the app's own. */
  level: string
  at: Date
  message: string
  /** What else the line has. */
  fields: { [name: string]: JsonValue }
}

export interface RunLogPage {
  /** Oldest first. */
  lines: RunLogLine[]
  /** Give it as `after` to get the next page; null on the last one. */
  next: number | null
  /** How many lines the run has written so far. Those that are not here were not kept: the newest are. */
  written: number
}

interface Row extends Omit<RunLogLine, 'level'> {
  level: number
  written: number
}

/** One snapshot of both. Index: the primary keys. */
const readSql = `
  SELECT head.seq::float8 AS written, line.* FROM public.platform_run_log_heads AS head
  LEFT JOIN LATERAL (
    SELECT seq::float8, attempt, level, at, message, fields FROM public.platform_run_logs
    WHERE run_id = head.run_id AND seq > $2 ORDER BY seq LIMIT $3
  ) AS line ON true
  WHERE head.run_id = $1
  ORDER BY seq`

export async function readLines(
  database: Database,
  runId: string,
  { after, limit }: { after: number; limit: number },
): Promise<RunLogPage> {
  const { rows } = await database.query<Row>(readSql, [runId, after, limit + 1])
  const found = rows.filter(({ seq }) => seq !== null)
  const lines = found.slice(0, limit).map(toLine)
  return {
    lines,
    next: found.length > limit ? lines.at(-1)!.seq : null,
    written: rows[0]?.written ?? 0,
  }
}

function toLine({ seq, attempt, level, at, message, fields }: Row): RunLogLine {
  return { seq, attempt, level: pino.levels.labels[level] ?? String(level), at, message, fields }
}
