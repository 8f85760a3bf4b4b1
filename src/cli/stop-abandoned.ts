/**
 * Run by a process that leaves at once (interrupt.ts), on the folder of its embedded Postgres: waits until that process
 * is gone, joins the server and leaves it again. The last user of a server stops it, so it lives on only for others.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startEmbeddedPostgres } from '../db/embedded/index.ts'

const [dataDir, leaving] = process.argv.slice(2)
if (dataDir) {
  // A process whose parent has ended gets another one.
  while (process.ppid === Number(leaving)) await sleep(10)
  const postgres = await startEmbeddedPostgres({ dataDir })
  await postgres.stop()
}
