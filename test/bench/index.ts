/**
 * `npm run bench`: what the platform costs, side by side with doing the same by hand, in one run.
 * `npm run bench -- NAME` runs one. Three rounds, sides in turn, medians; ratios are what counts.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { startEmbeddedPostgres } from '../../src/db/embedded/index.ts'
import { clientLookup, encryption } from './credentials.ts'
import { drain } from './drain.ts'
import { history } from './history.ts'
import { latency } from './latency.ts'
import { type Benchmark, type BenchmarkServer, measure, report } from './measure.ts'
import { statement } from './statement.ts'
import { telemetry } from './telemetry.ts'
import { tenantUpdates } from './tenant-updates.ts'
import { trigger } from './trigger.ts'

const benchmarks: Benchmark[] = [
  statement,
  trigger,
  drain,
  tenantUpdates,
  latency,
  history,
  encryption,
  clientLookup,
  telemetry,
]

const { positionals } = parseArgs({ allowPositionals: true })
const unknown = positionals.find((name) => !benchmarks.some((benchmark) => benchmark.name === name))
if (unknown !== undefined) {
  console.error(
    `There is no benchmark "${unknown}". There are: ${benchmarks.map(({ name }) => name).join(', ')}`,
  )
  process.exit(2)
}
const chosen = benchmarks.filter(({ name }) => positionals.length === 0 || positionals.includes(name))

const folder = await mkdtemp(join(tmpdir(), 'cgk-bench-'))
// Durable, as in production: every commit is flushed.
const postgres = await startEmbeddedPostgres({ dataDir: join(folder, 'postgres'), createDatabases: true })
try {
  const version = await askVersion(postgres.url)
  console.log(
    `${cpus()[0]?.model.trim()}, ${availableParallelism()} cores; Node ${process.version}; Postgres ${version}\n`,
  )
  let missed = 0
  for (const benchmark of chosen) {
    const server: BenchmarkServer = { url: postgres.url, adminUrl: postgres.adminUrl }
    if (!report(benchmark, await measure(benchmark, server))) missed += 1
  }
  console.log(missed === 0 ? 'All targets met.' : `${missed} of ${chosen.length} targets missed.`)
  process.exitCode = missed === 0 ? 0 : 1
} finally {
  await postgres.stop()
  await rm(folder, { recursive: true, force: true })
}

async function askVersion(url: string): Promise<string> {
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
  await client.end()
  return rows[0]?.server_version ?? '?'
}
