/** A client of the HTTP API, for apps that have no database. */
import { Connection } from './connection.ts'
import { type ClientRuns, createClientRuns } from './runs.ts'
import { type ClientTasks, createClientTasks } from './tasks.ts'
import type { Registry } from './types.ts'

export interface JobsClientOptions {
  /** Of the API: `https://jobs.example.com/api/v1`. */
  url: string
  /** An API key with the scopes that the calls need: `runs:trigger`, `runs:read`, `runs:cancel`. */
  key: string
  /** Instead of the global one. */
  fetch?: typeof globalThis.fetch
  /** For one try; 30 seconds by default. */
  timeoutMs?: number
  /** How often a request is tried that is not answered, or with 429, 500, 502, 503 or 504; 4 by default. */
  maxAttempts?: number
}

export interface JobsClient<Tasks extends Registry> {
  tasks: ClientTasks<Tasks>
  runs: ClientRuns
}

/**
 * `createJobsClient<typeof registry>(...)`, with the registry imported by `import type`: ids and payloads are then
 * checked by the compiler. @throws TypeError where an option cannot be used.
 */
export function createJobsClient<Tasks extends Registry = Registry>(
  options: JobsClientOptions,
): JobsClient<Tasks> {
  const { url, key, fetch = globalThis.fetch, timeoutMs = 30_000, maxAttempts = 4 } = options
  if (!URL.canParse(url) || !/^https?:/.test(url)) {
    throw new TypeError('url must be that of the API, like https://jobs.example.com/api/v1.')
  }
  // Of anything else fetch would complain by quoting all of it.
  if (typeof key !== 'string' || !/^[\x21-\x7e]+$/.test(key))
    throw new TypeError('key must be an API key: cgk key:create makes one.')
  requirePositive('timeoutMs', timeoutMs)
  requirePositive('maxAttempts', maxAttempts)
  const connection = new Connection({ url: url.replace(/\/+$/, ''), key, fetch, timeoutMs, maxAttempts })
  return { tasks: createClientTasks(connection), runs: createClientRuns(connection) }
}

function requirePositive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1)
    throw new TypeError(`${name} must be a whole number of at least 1.`)
}
