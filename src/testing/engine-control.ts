/** What a test does to an engine that nobody does in production. One file beside this for each engine. */
import type { AnyTask } from '../task/define.ts'

export interface EngineControl {
  /** For everything queued, time moves on by this many milliseconds. */
  advance(ms: number): Promise<void>
  /** How many runs are running or due, by task id. */
  unfinished(): Promise<Map<AnyTask['id'], number>>
}
