/** The Trigger.dev engine, the caller's side: triggers and reads runs. Where they run is deploy.ts. */
import type { Logger } from 'pino'
import type { Database } from '../../db/database.ts'
import type { Transaction } from '../../db/transaction.ts'
import { ConfigError } from '../../errors.ts'
import type { Secret } from '../../secret.ts'
import type { Attempt, Run, RunHandle, RunRequest } from '../../task/run.ts'
import type { TenantWork } from '../../tenants/work.ts'
import type { Engine, RunFilter, RunPage, Worker, WorkOptions } from '../engine.ts'

export interface TriggerEngineOptions {
  url: string
  key: Secret<string> | null
  database: Database
  logger: Logger
}

const soon = (): never => {
  throw new ConfigError('The Trigger.dev engine is being written.')
}

export class TriggerEngine implements Engine {
  readonly name = 'trigger.dev'
  readonly tenantWork: TenantWork = {
    countOpen: async () => 0,
    drop: async () => {},
    release: async () => {},
  }

  constructor(_options: TriggerEngineOptions) {}

  async start(): Promise<void> {}

  async enqueue(_requests: readonly RunRequest[], _transaction: Transaction | null): Promise<RunHandle[]> {
    return soon()
  }

  async get(_runId: string): Promise<Run | null> {
    return soon()
  }

  async getMany(_runIds: readonly string[]): Promise<Run[]> {
    return soon()
  }

  async list(_filter: RunFilter): Promise<RunPage> {
    return soon()
  }

  async attempts(_runId: string): Promise<Attempt[]> {
    return soon()
  }

  async cancel(_runId: string): Promise<boolean> {
    return soon()
  }

  async countHeld(_tenantId: string, _service: string): Promise<number> {
    return soon()
  }

  release(): void {}

  async work(_options: WorkOptions): Promise<Worker> {
    throw new ConfigError('Trigger.dev runs the workers of this platform.')
  }

  async close(): Promise<void> {}
}
