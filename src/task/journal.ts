/** Where what a run writes while it runs is kept: the seam to the platform's journal (runs/journal). */
import type { Progress } from './progress.ts'

export interface JournaledRun {
  runId: string
  taskId: string
  tenantId: string
  attempt: number
}

/** Of one execution. Nothing here waits for the database, and nothing throws. */
export interface RunJournal {
  /** A line as the process's log has it, as JSON, and its level as pino counts them. */
  line(level: number, json: string): void
  progress(progress: Progress): void
  /** Answers when all of it is stored, or when it has taken too long. At once where nothing was written. */
  flushed(): Promise<void>
}
