/** Whether everything is set that the tasks of this platform need. The values themselves were parsed before. */
import type { Config } from '../config.ts'
import type { AnyTask } from '../task/define.ts'
import type { Check } from './check.ts'
import { count, ok, problem, type Said, some, warning } from './finding.ts'

export const configuration: Check = {
  name: 'configuration',
  async look({ config, environment, tasks }) {
    return [
      given(environment.given),
      ...environment.unknown.map((name) =>
        warning(
          `${name} is no variable of the platform, so it changes nothing.`,
          'Look for a slip of the pen; the README lists them all.',
        ),
      ),
      ...engineNeeds(config),
      ...(await tasksNeed(config, tasks)),
    ]
  },
}

function given(names: readonly string[]): Said {
  if (names.length === 0) return ok('No variable is given: everything is as by default.')
  return ok(
    `${count(names.length, 'variable is', 'variables are')} given and can be used: ${names.join(', ')}.`,
  )
}

function engineNeeds({ engine, databaseUrl, dataDir, triggerSecretKey }: Config): Said[] {
  const found: Said[] = []
  if (databaseUrl === null)
    found.push(ok(`Without DATABASE_URL the embedded Postgres in ${dataDir} is used.`))
  if (engine === 'inline') {
    found.push(
      warning(
        'JOBS_ENGINE=inline keeps runs in the memory of one process, and they end with it.',
        'Set JOBS_ENGINE=pg-boss, or leave it out.',
      ),
    )
  }
  if (engine === 'trigger.dev' && triggerSecretKey === null) {
    found.push(
      problem(
        'JOBS_ENGINE=trigger.dev has no TRIGGER_SECRET_KEY, so nothing can be triggered.',
        'Set it to the secret key of an environment of your project (tr_prod_...).',
      ),
    )
  }
  return found
}

async function tasksNeed(config: Config, loading: Promise<readonly AnyTask[]>): Promise<Said[]> {
  let tasks: readonly AnyTask[]
  try {
    tasks = await loading
  } catch (error) {
    return [
      problem(
        `The tasks cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
        'Mend the module, or set JOBS_TASKS to the one whose default export is the list of tasks.',
      ),
    ]
  }
  if (tasks.length === 0) {
    return [warning('There are no tasks, so a worker has nothing to do.', 'Set JOBS_TASKS to their module.')]
  }
  return [
    ok(`${count(tasks.length, 'task is', 'tasks are')} registered.`),
    ...keysFor(config, tasks),
    ...publicUrlFor(config, tasks),
  ]
}

function keysFor({ encryptionKeys, shopifyEncryptionKeys }: Config, tasks: readonly AnyTask[]): Said[] {
  const needed = [...new Set(tasks.flatMap(({ services }) => services))]
  const rings = [
    {
      variable: 'SHOPIFY_TOKEN_ENCRYPTION_KEY',
      keys: shopifyEncryptionKeys,
      services: needed.filter((service) => service === 'shopify'),
    },
    {
      variable: 'INTEGRATION_ENCRYPTION_KEY',
      keys: encryptionKeys,
      services: needed.filter((service) => service !== 'shopify'),
    },
  ]
  return rings
    .filter(({ keys, services }) => services.length > 0 && keys.reveal().length === 0)
    .map(({ variable, services }) =>
      warning(
        `Without ${variable} this process cannot read credentials, and leaves runs that need ${some(services)} to others.`,
        `Set ${variable} to the key that the other processes have; cgk credential:key makes a first one.`,
      ),
    )
}

function publicUrlFor({ publicUrl }: Config, tasks: readonly AnyTask[]): Said[] {
  const waiting = tasks.filter(
    ({ services, webhooks }) => webhooks.length > 0 || services.includes('assemblyai'),
  )
  if (publicUrl !== null || waiting.length === 0) return []
  return [
    warning(
      `Without JOBS_PUBLIC_URL no provider is told where our webhooks are, and ${some(waiting.map(({ id }) => id))} wait for some.`,
      'Set it to the address at which providers reach cgk serve.',
    ),
  ]
}
