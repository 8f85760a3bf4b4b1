/**
 * Trigger.dev's API as the engine uses it: through the official SDK, each call with a time limit and with our errors.
 *
 * The SDK repeats what was not answered, or with 429 or 5xx, five times and with one request key, by which Trigger.dev
 * knows it again. It waits for an answer without limit; a call that hangs is given up here and made once more. That is
 * safe: everything that is triggered carries an idempotency key (request.ts), and the other calls change nothing twice.
 */
import { auth, idempotencyKeys, TriggerClient } from '@trigger.dev/sdk'
import { TriggerUnavailableError } from '../../errors.ts'
import { rememberSecret } from '../../redact.ts'
import type { Secret } from '../../secret.ts'
import { isBadRequest, isNotFound, noKey, readApiError } from './api-errors.ts'
import type { TriggerCall } from './request.ts'
import type { ApiStatus } from './states.ts'

export interface ApiOptions {
  url: string
  key: Secret<string> | null
  previewBranch: string | null
  /** How long one try of a call may take, the SDK's own repetitions included. */
  timeoutMs?: number
}

export type ApiRun = Awaited<ReturnType<TriggerClient['runs']['retrieve']>>
export type ApiListedRun = Awaited<ReturnType<TriggerClient['runs']['list']>>['data'][number]

export interface ApiFilter {
  tag?: string
  taskIdentifier?: string
  status?: ApiStatus[]
  /** 1 to 100. */
  limit: number
  /** Trigger.dev's id of the last run of the page before. */
  after?: string
}

/** The SDK's own for every request but the items of a batch, for which it would take three times as long. */
const retry = { maxAttempts: 5, minTimeoutInMs: 1_000, maxTimeoutInMs: 30_000, factor: 1.6, randomize: false }
/** The pauses between those tries are 9 seconds in all; a batch has two requests. */
const usualTimeoutMs = 30_000
const triesPerCall = 2

export class TriggerApi {
  readonly #config: { baseURL: string; accessToken?: string; previewBranch: string }
  readonly #timeoutMs: number
  #client: TriggerClient | null = null

  constructor({ url, key, previewBranch, timeoutMs = usualTimeoutMs }: ApiOptions) {
    // Without a branch of ours the SDK would take one from VERCEL_GIT_COMMIT_REF; an empty one is none.
    this.#config = { baseURL: url, previewBranch: previewBranch ?? '' }
    // Where Trigger.dev runs us it provides a credential, which the SDK finds itself.
    if (key) {
      this.#config.accessToken = key.reveal()
      rememberSecret(key.reveal())
    }
    this.#timeoutMs = timeoutMs
  }

  /** Answers Trigger.dev's id of the run, and whether it had been there already, by its idempotency key. */
  async trigger({ id, payload, options }: TriggerCall): Promise<{ id: string; isCached: boolean }> {
    const handle = await this.#call(`to trigger ${id}`, ({ tasks }) => tasks.trigger(id, payload, options))
    return { id: handle.id, isCached: 'isCached' in handle && handle.isCached === true }
  }

  /** At most 1,000 at once. The runs come to be a little later. */
  async batch(calls: readonly TriggerCall[]): Promise<void> {
    await this.#call(`to trigger a batch of ${calls.length}`, ({ batch }) =>
      batch.trigger([...calls], undefined, { retry }),
    )
  }

  async retrieve(triggerId: string): Promise<ApiRun | null> {
    const what = `to read run ${triggerId}`
    const run = await this.#call(what, async ({ runs }) => {
      try {
        return await runs.retrieve(triggerId)
      } catch (error) {
        if (isNotFound(error)) return null
        throw error
      }
    })
    // Large ones are in an object store. Where it does not give them, the SDK says nothing, and nothing is an output.
    if (
      run &&
      (isMissing(run.payloadPresignedUrl, run.payload) || isMissing(run.outputPresignedUrl, run.output))
    ) {
      throw new TriggerUnavailableError(
        what,
        'its payload or output could not be fetched from the object store',
      )
    }
    return run
  }

  /** Newest first. */
  async list(filter: ApiFilter): Promise<{ data: ApiListedRun[]; hasMore: boolean }> {
    return await this.#call('to list runs', async ({ runs }) => {
      const page = await runs.list(filter)
      return { data: page.data, hasMore: page.hasNextPage() }
    })
  }

  async cancel(triggerId: string): Promise<void> {
    await this.#call(`to cancel run ${triggerId}`, ({ runs }) => runs.cancel(triggerId))
  }

  /** False: it does not wait for its time (any more). */
  async reschedule(triggerId: string, delay: string | Date): Promise<boolean> {
    return await this.#call(`to reschedule run ${triggerId}`, async ({ runs }) => {
      try {
        await runs.reschedule(triggerId, { delay })
        return true
      } catch (error) {
        if (isBadRequest(error) || isNotFound(error)) return false
        throw error
      }
    })
  }

  /** The key is free again; one that is not taken is free already. */
  async resetKey(taskId: string, key: string): Promise<void> {
    await this.#call(`to free an idempotency key of ${taskId}`, async () => {
      try {
        await auth.withAuth(this.#config, () => idempotencyKeys.reset(taskId, key))
      } catch (error) {
        if (!isNotFound(error)) throw error
      }
    })
  }

  async #call<T>(what: string, ask: (client: TriggerClient) => PromiseLike<T>): Promise<T> {
    const client = this.#open()
    for (let left = triesPerCall; ; left -= 1) {
      const answer = await this.#try(what, () => ask(client))
      if (answer !== tooLate) return answer
      if (left === 1) throw new TriggerUnavailableError(what, `no answer in ${this.#timeoutMs} ms, twice`)
    }
  }

  async #try<T>(what: string, ask: () => PromiseLike<T>): Promise<T | typeof tooLate> {
    let timer: NodeJS.Timeout | undefined
    try {
      const over = new Promise<typeof tooLate>((resolve) => {
        timer = setTimeout(resolve, this.#timeoutMs, tooLate)
      })
      return await Promise.race([ask(), over])
    } catch (error) {
      throw readApiError(error, what)
    } finally {
      clearTimeout(timer)
    }
  }

  #open(): TriggerClient {
    try {
      // It knows nothing of a run that it is used in: of runs with a parent Trigger.dev cancels the one with the other,
      // and no other engine does.
      this.#client ??= new TriggerClient(this.#config)
      return this.#client
    } catch {
      throw noKey()
    }
  }
}

const tooLate = Symbol('too late')

function isMissing(url: string | undefined, value: unknown): boolean {
  return url !== undefined && value === undefined
}
