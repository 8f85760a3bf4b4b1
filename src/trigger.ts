/**
 * What the file imports in which Trigger.dev finds the tasks, from `@cgk-platform/jobs/trigger`:
 *
 *     // tasks/index.trigger.ts
 *     import { toTriggerTasks } from '@cgk-platform/jobs/trigger'
 *     import registry from './index.ts'
 *
 *     toTriggerTasks(registry)
 *
 * The import, and this call, connect to nothing and need no environment: Trigger.dev imports the file to learn what tasks
 * there are. The platform is made at the first run.
 */
import { close, defaultPlatform } from './default-platform.ts'
import { defineTriggerTasks } from './engines/trigger/deploy.ts'
import type { RunHost } from './engines/trigger/run.ts'
import { ConfigError } from './errors.ts'
import { createLogger } from './log.ts'
import { Platform } from './platform.ts'
import type { AnyTask } from './task/define.ts'
import { type Duration, parseDuration } from './task/duration.ts'

export interface TriggerTasksOptions {
  /**
   * How long a run that called `triggerAndWait` keeps its process and its place before it leaves the waiting to
   * Trigger.dev; '5s' by default. Most children are quick, and being frozen and woken takes seconds.
   */
  waitInPlace?: Duration
}

/** Makes every task of the registry a task of Trigger.dev. @throws ConfigError when an option cannot be used. */
export function toTriggerTasks(registry: readonly AnyTask[], options: TriggerTasksOptions = {}): void {
  const waitInPlaceMs = parseDuration(options.waitInPlace ?? '5s')
  if (waitInPlaceMs === null) {
    throw new ConfigError("toTriggerTasks: waitInPlace must be a duration like '5s', or 0.")
  }
  defineTriggerTasks(registry, hostOf(registry, waitInPlaceMs))
}

function hostOf(registry: readonly AnyTask[], waitInPlaceMs: number): RunHost {
  /** Not one that the app has configured: that one is the app's to end. */
  let own: Platform | null = null
  // Deploys migrate, with cgk migrate: the bundle that Trigger.dev runs has no migrations with it.
  const make = () => (own = new Platform({ engine: 'trigger.dev', migrate: 'off', tasks: registry }))
  const platform = () => defaultPlatform(make)
  return {
    waitInPlaceMs,
    get logger() {
      try {
        return platform().logger
      } catch {
        // A configuration that makes no platform fails the run, by its rule; saying so must not fail it otherwise.
        return createLogger('warn')
      }
    },
    async environment() {
      const used = platform()
      if (used.config.databaseUrl === null) {
        throw new ConfigError(
          'Where Trigger.dev runs tasks there is no Postgres of their own: set DATABASE_URL in its environment variables.',
        )
      }
      const { database, clients, holds } = await used.ready()
      return { database, dispatcher: used.dispatcher, services: { clients, holds }, logger: used.logger }
    },
    async tick() {
      const used = platform()
      await (await used.ticker()).tick()
      const { engine } = await used.ready()
      // The schedules have ticked, and the next tick comes in a minute.
      await engine.keepUp?.().catch((error) => used.logger.warn({ err: error }, 'Upkeep failed'))
    },
    async rest() {
      if (platform() === own) await close()
    },
  }
}
