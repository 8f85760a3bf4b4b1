/** Whether what one connection announces arrives at another. */
import { Listener } from '../db/listener.ts'
import type { Check } from './check.ts'
import { ok, warning } from './finding.ts'

export const notifications: Check = {
  name: 'notifications',
  async look({ config, database }) {
    if (config.engine !== 'pg-boss') return []
    const url = config.directUrl ?? config.databaseUrl ?? database.pool.options.connectionString
    const heard = Promise.withResolvers<Error | null>()
    const listener = new Listener({ url: url!, onError: heard.resolve, applicationName: 'cgk doctor' })
    listener.onConnect(() => heard.resolve(null)).start()
    try {
      const error = await heard.promise
      if (!error) return [ok('Notifications arrive, so a worker knows of a run at once.')]
      return [
        warning(
          `Notifications do not arrive, so runs are found by polling: ${error.message}`,
          'Set DATABASE_DIRECT_URL to a URL that reaches Postgres itself, not a pooler in transaction mode.',
        ),
      ]
    } finally {
      await listener.close()
    }
  },
}
