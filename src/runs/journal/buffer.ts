/**
 * Lines that wait to be stored. Bounded for each run and for all together: the oldest go first, and that they were there
 * is still counted.
 */
import type { JournaledRun } from '../../task/journal.ts'
import { maxLines, maxSize, maxWaitingLines, maxWaitingSize } from './bounds.ts'

export interface WaitingLine {
  run: JournaledRun
  /** pino's. */
  level: number
  at: Date
  json: string
  /** Which it is of those its run wrote since the last flush, from 1. */
  number: number
  /** Characters of those, with this one. */
  size: number
}

/** What a run wrote since the last flush. */
export interface Written {
  runId: string
  tenantId: string
  /** Those that were dropped included. */
  count: number
  size: number
  /** The newest, oldest first. */
  lines: WaitingLine[]
}

/** Lines in one statement, give or take those of one run. */
const batchLines = 1_000

export class LineBuffer {
  #runs = new Map<string, Written>()
  #lines = 0
  #size = 0

  get isEmpty(): boolean {
    return this.#runs.size === 0
  }

  add(run: JournaledRun, level: number, at: Date, json: string): void {
    const { runId, tenantId } = run
    const written = this.#runs.get(runId) ?? { runId, tenantId, count: 0, size: 0, lines: [] }
    this.#runs.set(runId, written)
    written.count += 1
    written.size += json.length
    written.lines.push({ run, level, at, json, number: written.count, size: written.size })
    this.#lines += 1
    this.#size += json.length
    while (written.lines.length > maxLines || held(written) > maxSize) this.#dropOldest(written)
    while (this.#lines > maxWaitingLines || this.#size > maxWaitingSize)
      this.#dropOldest(this.#longestWaiting())
  }

  /** All that waits now, in batches. */
  takeAll(): Written[][] {
    const batches: Written[][] = []
    let lines = batchLines
    for (const written of this.#runs.values()) {
      if (lines >= batchLines) {
        batches.push([])
        lines = 0
      }
      batches.at(-1)!.push(written)
      lines += written.lines.length
    }
    this.#runs = new Map()
    this.#lines = 0
    this.#size = 0
    return batches
  }

  #dropOldest({ lines }: Written): void {
    const dropped = lines.shift()!
    this.#lines -= 1
    this.#size -= dropped.json.length
  }

  #longestWaiting(): Written {
    for (const written of this.#runs.values()) if (written.lines.length > 0) return written
    throw new RangeError('No line waits.')
  }
}

function held({ lines, size }: Written): number {
  const [oldest] = lines
  return oldest === undefined ? 0 : size - oldest.size + oldest.json.length
}
