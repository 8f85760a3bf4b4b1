import { setTimeout as sleep } from 'node:timers/promises'
import { AbortTaskError, defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'

/** Does with its tenant's secrets whatever a careless task might. */
export const leakSecrets = defineTask({
  id: 'leak/secrets',
  payload: tenantPayload({ how: z.enum(['output', 'error', 'abort', 'snooze', 'provider', 'timeout']) }),
  services: ['mux'],
  retry: { maxAttempts: 2, minDelay: '10ms' },
  timeout: '2s',
  async run({ how }, { clients: { mux }, logger, progress, signal, sql }) {
    const { tokenSecret, webhookSecret } = mux
    const secrets = { tokenSecret, list: [`and ${webhookSecret}.`], url: `https://x:${tokenSecret}@host/` }
    logger.info({ secrets, note: `a line with ${tokenSecret}` }, `and a text with ${webhookSecret}`)
    logger.error({ err: new Error(`with ${tokenSecret}`, { cause: new Error(String(webhookSecret)) }) })
    progress({ current: 1, total: 2, message: `with ${tokenSecret}` })
    switch (how) {
      case 'output':
        return secrets
      case 'error':
        throw Object.assign(new Error(`refused ${tokenSecret}`), {
          name: `N${webhookSecret}`,
          code: tokenSecret,
        })
      case 'abort':
        throw new AbortTaskError(`no luck with ${webhookSecret}`)
      case 'snooze':
        await sql`SELECT ${tokenSecret}::int`
        return
      case 'provider':
        await mux.video.assets.list({ limit: 1 })
        return
      case 'timeout':
        await sleep(60_000, null, { signal }).catch(() => {})
        throw tokenSecret
    }
  },
})
