/**
 * A platform: one database, one engine, the tenants and tasks on them. This file puts the parts together and takes
 * them apart again, in order.
 *
 * Making one connects to nothing. The first use starts it, once, however many callers come at the same time: find or
 * start Postgres, migrate, start the engine.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { type AuditLog, createAuditLog } from './audit/audit.ts'
import type { AuthDeps } from './auth/deps.ts'
import { Passwords } from './auth/passwords.ts'
import { openCacheStore } from './cache/open-store.ts'
import type { CacheStore } from './cache/store.ts'
import { type Config, type ConfigOptions, readConcurrency, readConfig } from './config.ts'
import { KeyRings } from './credentials/key-rings.ts'
import { credentialChannel } from './credentials/store.ts'
import { Database } from './db/database.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './db/embedded/index.ts'
import { Listener } from './db/listener.ts'
import { migratePublic } from './db/migrations/public.ts'
import { migrateTenants } from './db/migrations/tenants.ts'
import { currentScope } from './db/scope.ts'
import { type Clock, systemClock } from './engines/clock.ts'
import type { Engine, SettledEvent, Worker } from './engines/engine.ts'
import { checkWorkerOptions, refuseOtherThanObject, type WorkerOptions } from './engines/worker-options.ts'
import { ConfigError, DatabaseSetupError, UnknownTenantError, WorkerStoppingError } from './errors.ts'
import { countHolds } from './holds/count.ts'
import { holdChannel, parseAnnouncement } from './holds/hold.ts'
import { Holds } from './holds/holds.ts'
import { createLogger } from './log.ts'
import { type BulkActions, createBulkActions } from './runs/bulk/bulk.ts'
import { bulkChannel } from './runs/bulk/confirm.ts'
import type { BulkDependencies } from './runs/bulk/deps.ts'
import { BulkDriver } from './runs/bulk/driver.ts'
import { createFailures, type Failures } from './runs/failures.ts'
import { Journal } from './runs/journal/journal.ts'
import { RunLogs } from './runs/journal/logs.ts'
import { createRuns, type Runs } from './runs/runs.ts'
import { RunWaiter } from './runs/waiter.ts'
import { ScheduleLoop } from './schedules/loop.ts'
import { createSchedules, type Schedules } from './schedules/schedules.ts'
import { Ticker } from './schedules/ticker.ts'
import { TenantClients } from './services/clients.ts'
import { createTenantCredentials, type TenantCredentials } from './services/credentials.ts'
import { isServiceName, serviceNames } from './services/registry.ts'
import type { AnyTask } from './task/define.ts'
import type { Dispatcher } from './task/dispatcher.ts'
import { loadRegistry, TaskRegistry } from './task/registry.ts'
import { traceEnqueue } from './telemetry/enqueue-span.ts'
import { addSource } from './telemetry/queue-gauges.ts'
import { recordSettled } from './telemetry/settled.ts'
import { limitTenantLabels } from './telemetry/tenant-label.ts'
import { TenantDirectory, tenantChannel } from './tenants/directory.ts'
import type { TenantDeps } from './tenants/tenant.ts'

export interface PlatformOptions extends ConfigOptions {
  /** The tasks that can be triggered by id and that workers run; otherwise the default export of `tasksModule`. */
  tasks?: readonly AnyTask[]
  logger?: Logger
  /** What time it is for the inline engine; tests move it. */
  clock?: Clock
}

/** What exists once a platform has started. */
export interface Started {
  database: Database
  directory: TenantDirectory
  engine: Engine
  waiter: RunWaiter
  /** What runs of this process write. */
  journal: Journal
  /** What runs of any process have written. */
  logs: RunLogs
  tenants: TenantDeps
  clients: TenantClients
  holds: Holds
  /** For the functions of `auth/`. */
  auth: AuthDeps
  cache: CacheStore
  /** Null with a database of one's own. */
  embedded: EmbeddedPostgres | null
}

const oldestPostgres = 150_000

export class Platform {
  readonly config: Config
  readonly logger: Logger
  readonly runs: Runs
  readonly schedules: Schedules
  readonly credentials: TenantCredentials
  readonly audit: AuditLog
  /** Replays and cancels of many runs. */
  readonly bulk: BulkActions
  readonly failures: Failures
  /** What encrypts credentials; needs no database. */
  readonly keys: KeyRings
  readonly #givenTasks: readonly AnyTask[] | undefined
  readonly #clock: Clock | undefined
  readonly #passwords = new Passwords()
  #started: Promise<Started> | null = null
  #registry: Promise<TaskRegistry> | null = null
  #listener: Listener | null = null
  #endFigures: (() => void) | null = null
  #closed = false
  readonly #loops = new Set<ScheduleLoop>()
  readonly #drivers = new Set<BulkDriver>()

  /** @throws ConfigError when an option or a variable of the environment cannot be used. */
  constructor(options: PlatformOptions = {}) {
    refuseOtherThanObject(options, 'configure()')
    const { tasks, logger, clock, ...overrides } = options
    this.config = readConfig(overrides)
    this.keys = new KeyRings(this.config)
    limitTenantLabels(this.config.metricsTenants)
    refuseUnknownServices(this.config)
    this.logger = logger ?? createLogger(this.config.logLevel)
    this.runs = createRuns(
      () => this.ready(),
      () => this.dispatcher,
      () => this.bulk,
    )
    this.schedules = createSchedules(async () => {
      const [{ database, directory, engine }, registry, ticker] = await Promise.all([
        this.ready(),
        this.registry(),
        this.ticker(),
      ])
      return { database, directory, engine, registry, ticker, maxPayloadBytes: this.config.maxPayloadBytes }
    })
    this.credentials = createTenantCredentials(this.keys, () => this.ready())
    this.audit = createAuditLog(async () => (await this.ready()).database)
    this.bulk = createBulkActions(() => this.#bulkDependencies())
    this.failures = createFailures(() => this.ready())
    this.#givenTasks = tasks
    this.#clock = clock
  }

  /** Starts the platform if it has not been started. A start that failed is tried again by the next caller. */
  ready(): Promise<Started> {
    if (this.#closed) throw new ConfigError('This platform was closed. Call configure() to make a new one.')
    if (!this.#started) {
      const starting = this.#start()
      this.#started = starting
      starting.catch(() => {
        if (this.#started === starting) this.#started = null
      })
    }
    return this.#started
  }

  /** Runs the tasks of the registry in this process. @throws ConfigError, InvalidTaskError. */
  async startWorker(options: WorkerOptions = {}): Promise<Worker> {
    checkWorkerOptions(options)
    const { concurrency: given = this.config.concurrency } = options
    const concurrency = readConcurrency(given)
    const { engine, database, waiter, clients, holds } = await this.ready()
    const registry = await this.registry()
    this.#endFigures ??= addSource({ countHolds: () => countHolds(database) })
    const worker = await engine.work({
      tasks: registry.select(options.only),
      concurrency,
      stopTimeoutMs: this.config.stopTimeoutMs,
      dispatcher: this.dispatcher,
      services: { clients, holds },
      logger: this.logger,
      onSettled: (event) => {
        waiter.settled(event.runId)
        recordSettled(event)
        this.#tell(options.onSettled, event)
      },
    })
    return options.schedules === false ? worker : await this.#withSchedules(worker)
  }

  /** For a process that works on nothing and tells the figures of what waits and what is held, for all tasks. */
  async watchQueue(): Promise<void> {
    const [{ database, engine }, registry] = await Promise.all([this.ready(), this.registry()])
    const taskIds = registry.list().map(({ id }) => id)
    this.#endFigures?.()
    this.#endFigures = addSource({
      backlog: () => engine.backlog(taskIds),
      countHolds: () => countHolds(database),
    })
  }

  /** What makes the runs of schedules, whichever tasks this worker runs: every worker does it for all. */
  async ticker(): Promise<Ticker> {
    const [{ database, engine }, registry] = await Promise.all([this.ready(), this.registry()])
    const { logger } = this
    const now = () => this.#inlineClock()?.now() ?? null
    return new Ticker({ database, engine, registry, logger, now })
  }

  async #withSchedules(worker: Worker): Promise<Worker> {
    const ticker = await this.ticker()
    const clock = this.#inlineClock() ?? systemClock
    const loop = new ScheduleLoop({ ticker, clock, logger: this.logger })
    this.#loops.add(loop)
    const stopLoop = async () => {
      await loop.stop()
      this.#loops.delete(loop)
    }
    const driver = await this.driveBulkActions()
    return {
      name: worker.name,
      stop: async (options) => {
        await Promise.all([stopLoop(), driver.stop(), worker.stop(options)])
      },
    }
  }

  /** Does the steps of bulk actions in this process until it is stopped. Every worker does. */
  async driveBulkActions(): Promise<{ stop(): Promise<void> }> {
    const driver = new BulkDriver(await this.#bulkDependencies(), this.logger)
    this.#drivers.add(driver)
    return {
      stop: async () => {
        await driver.stop()
        this.#drivers.delete(driver)
      },
    }
  }

  async #bulkDependencies(): Promise<BulkDependencies> {
    const { database, engine } = await this.ready()
    return { database, engine, dispatcher: this.dispatcher }
  }

  /** The clock of the inline engine is the inline engine's. */
  #inlineClock(): Clock | null {
    return this.config.engine === 'inline' ? (this.#clock ?? null) : null
  }

  /** What an app's listener throws is the app's: it must not keep a worker from going on. */
  #tell(onSettled: WorkerOptions['onSettled'], event: SettledEvent): void {
    try {
      onSettled?.(event)
    } catch (error) {
      this.logger.error({ err: error, run: event.runId }, 'onSettled threw an error')
    }
  }

  /** The tasks of this platform; loaded at first use. */
  registry(): Promise<TaskRegistry> {
    this.#registry ??= this.#loadRegistry()
    return this.#registry
  }

  /** Stops workers within their deadline, then lets go of everything. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const started = await this.#started?.catch(() => null)
    if (!started) return
    await Promise.all([...this.#loops, ...this.#drivers].map((each) => each.stop()))
    this.#endFigures?.()
    await started.engine.close()
    started.waiter.close(new WorkerStoppingError())
    await started.journal.close()
    await this.#listener?.close()
    started.clients.close()
    await started.cache.close()
    await started.database.close()
    await started.embedded?.stop()
  }

  /** What a task needs of its platform. */
  readonly dispatcher: Dispatcher = this.#makeDispatcher()

  #makeDispatcher(): Dispatcher {
    const ready = () => this.ready()
    const config = () => this.config
    return {
      get maxPayloadBytes() {
        return config().maxPayloadBytes
      },
      currentTenant: () => {
        const scope = currentScope()
        return scope && !scope.ended ? (scope.tenant?.slug ?? null) : null
      },
      insideTransaction: () => {
        const scope = currentScope()
        return scope !== undefined && !scope.ended && scope.transaction !== null
      },
      admitTenant: async (tenantId) => {
        // Inside its own context a tenant was admitted already; a transaction must not wait for a second connection.
        const scope = currentScope()
        if (scope && !scope.ended && scope.tenant?.slug === tenantId) return
        await (await ready()).directory.admit(tenantId)
      },
      timezoneOf: async (tenantId) => {
        const tenant = await (await ready()).directory.find(tenantId)
        if (!tenant) throw new UnknownTenantError(tenantId)
        return tenant.timezone
      },
      enqueue: async (requests) => {
        const { engine, database } = await ready()
        const current = currentScope()
        const scope = current?.database === database && !current.ended ? current : null
        return await traceEnqueue(requests, (traced) => engine.enqueue(traced, scope?.transaction ?? null))
      },
      waitFor: async (runId, options) => (await ready()).waiter.wait(runId, options),
      openJournal: async (run) => (await ready()).journal.open(run),
      registry: () => this.registry(),
    }
  }

  async #start(): Promise<Started> {
    const embedded = this.config.databaseUrl
      ? null
      : await startEmbeddedPostgres({ dataDir: this.config.dataDir })
    const url = this.config.databaseUrl ?? embedded!.url
    const database: Database = new Database({
      url,
      poolSize: this.config.poolSize,
      admit: (tenantId) => directory.admit(tenantId),
      onIdleError: (error) =>
        this.logger.warn({ err: error }, 'An idle database connection broke; it is replaced'),
    })
    const directory = new TenantDirectory({ database: () => database })
    try {
      return await this.#startOn(database, directory, url, embedded)
    } catch (error) {
      await database.close()
      await embedded?.stop()
      throw error
    }
  }

  async #startOn(
    database: Database,
    directory: TenantDirectory,
    url: string,
    embedded: EmbeddedPostgres | null,
  ): Promise<Started> {
    await checkVersion(database)
    const migrate = this.config.migrate === 'auto'
    if (migrate) await migratePublic(database, this.config.migrationsDir)
    this.#listener = new Listener({
      url: this.config.directUrl ?? url,
      onError: (error) =>
        this.logger.warn({ err: error }, 'Not listening for notifications; polling instead'),
    })
    this.#listener.onConnect(() => directory.invalidate())
    const engine = await this.#makeEngine(url, database, directory, this.#listener)
    const { clients, holds } = this.#makeServices(database, directory, engine, this.#listener)
    const cache = await openCacheStore({
      redisUrl: this.config.redisUrl,
      databaseUrl: url,
      onError: (error) => this.logger.warn({ err: error }, 'The cache is in trouble'),
    })
    const waiter = new RunWaiter((runIds) => engine.getMany(runIds), {
      longestPauseMs: engine.askedAtMostEveryMs,
      apart: engine.askedAtMostEveryMs !== undefined,
    })
    const getRun = (runId: string) => engine.get(runId)
    try {
      await engine.start()
      if (migrate) await this.#migrateTenants(database)
    } catch (error) {
      await engine.close()
      throw error
    }
    return {
      database,
      directory,
      engine,
      embedded,
      clients,
      holds,
      auth: {
        database,
        passwords: this.#passwords,
        now: () => new Date(this.#now()),
        publicUrl: this.config.publicUrl,
      },
      cache,
      waiter,
      journal: new Journal({ url, logger: this.logger }),
      logs: new RunLogs({ database, listener: this.#listener, waiter, getRun }),
      tenants: {
        database,
        directory,
        migrationsDir: this.config.migrationsDir,
        work: engine.tenantWork,
        cache,
      },
    }
  }

  #now(): number {
    return this.#inlineClock()?.now().getTime() ?? Date.now()
  }

  /** Clients of services, and holds on them; both hear of what other processes change. */
  #makeServices(
    database: Database,
    directory: TenantDirectory,
    engine: Engine,
    listener: Listener,
  ): { clients: TenantClients; holds: Holds } {
    const holds = new Holds({
      database,
      now: () => this.#now(),
      onLifted: (tenantId, service) => engine.release(tenantId, service),
      onError: (error) => this.logger.warn({ err: error }, 'Looking at a hold failed; it is looked at again'),
    })
    const { services: settings, publicUrl } = this.config
    const clients = new TenantClients({ database, keys: this.keys, gate: holds.gate, settings, publicUrl })
    listener
      .on(tenantChannel, (slug) => {
        directory.invalidate(slug)
        void clients.tenantChanged(slug)
      })
      .on(holdChannel, (announcement) => holds.heard(announcement))
      .on(credentialChannel, (announcement) => {
        const about = parseAnnouncement(announcement)
        if (about) void clients.changed(about.tenantId, about.service)
      })
      .on(bulkChannel, () => {
        for (const driver of this.#drivers) driver.wake()
      })
      .onConnect(() => clients.invalidateAll())
    return { clients, holds }
  }

  /** Only the chosen engine is loaded. */
  async #makeEngine(
    databaseUrl: string,
    database: Database,
    directory: TenantDirectory,
    listener: Listener,
  ): Promise<Engine> {
    const { logger } = this
    const { keepCompletedMs, keepFailedMs } = this.config
    const retention = { keepCompletedMs, keepFailedMs }
    if (this.config.engine === 'inline') {
      const { InlineEngine } = await import('./engines/inline/engine.ts')
      return new InlineEngine({ database, clock: this.#clock })
    }
    if (this.config.engine === 'trigger.dev') {
      const { TriggerEngine } = await import('./engines/trigger/engine.ts')
      const { triggerApiUrl: url, triggerSecretKey: key, triggerPreviewBranch: previewBranch } = this.config
      return new TriggerEngine({
        ...{ url, key, previewBranch, database, retention, logger },
        organizationOf: (tenantId) => organizationOf(tenantId, database, directory),
      })
    }
    const migrate = this.config.migrate === 'auto'
    const { PgBossEngine } = await import('./engines/pg-boss/engine.ts')
    return new PgBossEngine({ url: databaseUrl, database, listener, migrate, retention, logger })
  }

  /** One tenant's failure is that tenant's: the others start, and `cgk migrate` shows what is wrong. */
  async #migrateTenants(database: Database): Promise<void> {
    await migrateTenants(database, this.config.migrationsDir, {
      jobs: Math.min(4, this.config.poolSize),
      onResult: (result) => {
        if (result.error)
          this.logger.error({ err: result.error, tenant: result.slug }, 'Migrating a tenant failed')
      },
    })
  }

  async #loadRegistry(): Promise<TaskRegistry> {
    if (this.#givenTasks !== undefined) return new TaskRegistry(this.#givenTasks)
    const module = this.config.tasksModule ?? findTasksModule()
    return module ? await loadRegistry(module) : new TaskRegistry([])
  }
}

/** A tenant's own context knows it: a transaction must not wait for a second connection. */
async function organizationOf(
  tenantId: string,
  database: Database,
  directory: TenantDirectory,
): Promise<string | undefined> {
  const scope = currentScope()
  const surrounding = scope?.database === database && !scope.ended ? scope.tenant : null
  return surrounding?.slug === tenantId ? surrounding.organizationId : (await directory.find(tenantId))?.id
}

function refuseUnknownServices({ services }: Config): void {
  const unknown = Object.keys(services).find((name) => !isServiceName(name))
  if (unknown === undefined) return
  throw new ConfigError(
    `services: there is no service ${JSON.stringify(unknown)}. There are: ${serviceNames.join(', ')}.`,
  )
}

async function checkVersion(database: Database): Promise<void> {
  const { rows } = await database.query<{ version: number }>(
    "SELECT current_setting('server_version_num')::int AS version",
  )
  const version = rows[0]?.version ?? 0
  if (version >= oldestPostgres) return
  throw new DatabaseSetupError(
    `The database is Postgres ${Math.floor(version / 10_000)}; the platform needs 15 or later.`,
  )
}

function findTasksModule(): string | null {
  const candidates = ['tasks/index.ts', 'tasks/index.js', 'tasks/index.mjs'].map((path) => resolve(path))
  return candidates.find((path) => existsSync(path)) ?? null
}
