/** A line of the process's log, as the table has it: bounded, and fit for Postgres. */
import { cleanText } from '../../clean-text.ts'
import type { JournaledRun } from '../../task/journal.ts'
import { type JsonValue, storableOutput } from '../../task/json.ts'

export interface LineContent {
  message: string
  /** JSON text of an object. */
  fields: string
}

const longestLine = 64_000
const longestMessage = 4_000
const longestFields = 16_000
const startLength = 1_000

/** What waits in memory is bounded, whatever a task writes. */
export function shortenLine(json: string): string {
  if (json.length <= longestLine) return json
  const { message } = readLine(json)
  return JSON.stringify({ msg: message, ...cutOff(json) })
}

/** Without what the row says anyhow: the run's own fields, level and time. */
export function contentOf(json: string, { runId, taskId, tenantId, attempt }: JournaledRun): LineContent {
  const { message, fields } = readLine(json)
  const ours: Record<string, unknown> = { run: runId, task: taskId, tenant: tenantId, attempt }
  const own = Object.entries(fields).filter(
    ([name, value]) => name !== 'level' && name !== 'time' && ours[name] !== value,
  )
  const text = JSON.stringify(storableOutput(Object.fromEntries(own)))
  return { message, fields: text.length <= longestFields ? text : JSON.stringify(cutOff(text)) }
}

function readLine(json: string): { message: string; fields: Record<string, unknown> } {
  const parsed = parse(json)
  // A logger of the app's own may write no JSON, or call the message something else.
  if (parsed === null) return { message: cleanText(json.trimEnd(), longestMessage), fields: {} }
  const { msg, ...fields } = parsed
  if (typeof msg === 'string') return { message: cleanText(msg, longestMessage), fields }
  return { message: '', fields: parsed }
}

function parse(json: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = JSON.parse(json)
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function cutOff(text: string): Record<string, JsonValue> {
  return { truncated: true, length: text.length, start: cleanText(text, startLength) }
}
