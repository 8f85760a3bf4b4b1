/** What bulk actions need of the platform. */
import type { Database } from '../../db/database.ts'
import type { Engine } from '../../engines/engine.ts'
import type { Dispatcher } from '../../task/dispatcher.ts'

export interface BulkDependencies {
  database: Database
  engine: Engine
  dispatcher: Dispatcher
}
