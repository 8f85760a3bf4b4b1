/**
 * Run by a process that leaves at once (interrupt.ts), on the folder of its embedded Postgres: waits until that process
 * is gone, joins the server and leaves it again. The last user of a server stops it, so it lives on only for others.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { startEmbeddedPostgres } from '../db/embedded/index.ts'

const [, , dataDir] = process.argv
const leaving = process.ppid
if (dataDir) {
  while (process.ppid === leaving && isLiving(leaving)) await sleep(10)
  const postgres = await startEmbeddedPostgres({ dataDir })
  await postgres.stop()
}

function isLiving(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
