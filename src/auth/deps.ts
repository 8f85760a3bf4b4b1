/** What people and keys need of the platform. */
import type { Database } from '../db/database.ts'
import type { Passwords } from './passwords.ts'

export interface AuthDeps {
  readonly database: Database
  readonly passwords: Passwords
  /** What everything that expires is measured by. */
  now(): Date
  /** Where browsers reach the platform. Null: at the address that they asked for, which is good enough on one's own machine. */
  readonly publicUrl: string | null
}
