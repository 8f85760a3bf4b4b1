/** A check: one subject, one file. It only looks; whatever it makes to look is gone when it answers. */
import type { Config, EnvironmentNames } from '../config.ts'
import type { KeyRings } from '../credentials/key-rings.ts'
import type { Database } from '../db/database.ts'
import type { AnyTask } from '../task/define.ts'
import type { Said } from './finding.ts'

export interface Subject {
  config: Config
  environment: EnvironmentNames
  database: Database
  keys: KeyRings
  /** Rejects when their module cannot be loaded. */
  tasks: Promise<readonly AnyTask[]>
  /** Milliseconds since 1970, by the clock of this process. */
  now(): number
}

export interface Check {
  name: string
  /** Throws when it cannot look, which is a finding as well. */
  look(subject: Subject): Promise<Said[]>
}
