/** Trigger.dev answers, and takes the key. */
import { TriggerApi } from '../engines/trigger/api.ts'
import { JobsError } from '../errors.ts'
import type { Subject } from './check.ts'
import { ok, problem, type Said } from './finding.ts'

const patienceMs = 10_000

export async function look({ config }: Subject): Promise<Said[]> {
  const { triggerApiUrl: url, triggerSecretKey: key, triggerPreviewBranch: previewBranch } = config
  if (key === null) return [] // The check of the configuration says so.
  try {
    await new TriggerApi({ url, key, previewBranch, timeoutMs: patienceMs }).list({ limit: 1 })
    return [ok(`Trigger.dev answers at ${new URL(url).host}, and takes the key.`)]
  } catch (error) {
    if (!(error instanceof JobsError)) throw error
    return [
      problem(error.message, 'Check TRIGGER_API_URL, and that TRIGGER_SECRET_KEY is a key of that server.'),
    ]
  }
}
