/**
 * Postgres' own file `postmaster.pid` is the truth about a running server: line 1 is the pid, line 4 the port, line 8
 * the status. The file outlives a `kill -9`, so a pid counts only while it is a Postgres of this very data folder.
 */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Folder } from './folder.ts'
import { commandOf, startOf } from './living-process.ts'

export interface Postmaster {
  pid: number
  port: number
  /** `starting`, `ready`, `stopping`, or empty in its first milliseconds. */
  status: string
}

/** The living Postgres of this folder, if there is one. */
export function findPostmaster(folder: Folder): Postmaster | undefined {
  const written = readPidFile(folder)
  return written && isPostgresOf(folder, written.pid) ? written : undefined
}

/** What the file says, be its process alive or not. */
export function readPidFile(folder: Folder): Postmaster | undefined {
  try {
    const lines = readFileSync(join(folder.data, 'postmaster.pid'), 'utf8').split('\n')
    return { pid: numberIn(lines[0]), port: numberIn(lines[3]), status: (lines[7] ?? '').trim() }
  } catch {
    return undefined
  }
}

/**
 * After a crash the file may be cut off, or its pid may belong to somebody else by now, and Postgres would refuse to
 * start. Without the file it is still safe from a second server: it checks the shared memory of the data folder too.
 */
export async function removeMisleadingPidFile(folder: Folder): Promise<void> {
  const written = readPidFile(folder)
  if (!written || isPostgresOf(folder, written.pid)) return
  if (written.pid === 0 || startOf(written.pid) !== undefined) {
    await rm(join(folder.data, 'postmaster.pid'), { force: true })
  }
}

/** 0 for a line that is missing or cut off. */
function numberIn(line = ''): number {
  return /^\d+$/.test(line) ? Number(line) : 0
}

// The command line, not the working folder: reading the latter of another user's process needs a right that root lacks
// in containers.
function isPostgresOf(folder: Folder, pid: number): boolean {
  return startOf(pid) !== undefined && commandOf(pid).includes(`/postgres -D ${folder.data} -c `)
}
