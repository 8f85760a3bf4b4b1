/**
 * Trigger.dev's API as the engine uses it: through the official SDK, each call with a time limit and with our errors.
 *
 * The SDK would repeat a request by itself, also long after nobody waits for it any more: with 429 it waits for as long
 * as that says. So it is told to try once, and the tries are ours (api-call.ts). That costs one thing: the SDK gives a
 * request and its repetitions one key (`x-trigger-request-idempotency-key`), by which Trigger.dev knows them again; it
 * takes no such key from us, so a repetition of ours is another request. What keeps it from being another run:
 *
 * - the idempotency key that everything which is triggered has (request.ts), as long as its run has not failed;
 * - a look for the run before it is asked for again. Trigger.dev's lists are some seconds late, so it is not certain;
 * - the run itself, when it begins: of two with one id, one does the work (begin.ts). That is certain.
 */
import { auth, idempotencyKeys, TriggerClient } from '@trigger.dev/sdk'
import { TriggerUnavailableError } from '../../errors.ts'
import { portions } from '../../portions.ts'
import { rememberSecret } from '../../redact.ts'
import type { Secret } from '../../secret.ts'
import { type Call, callPatiently, type Patience } from './api-call.ts'
import { isBadRequest, isNoKey, isNotFound, noKey } from './api-errors.ts'
import type { TriggerCall } from './request.ts'
import { runIdInTags, runTag } from './run-id.ts'
import type { ApiStatus } from './states.ts'

export interface ApiOptions extends Partial<Patience> {
  url: string
  key: Secret<string> | null
  previewBranch: string | null
}

export type ApiRun = Awaited<ReturnType<TriggerClient['runs']['retrieve']>>
export type ApiListedRun = Awaited<ReturnType<TriggerClient['runs']['list']>>['data'][number]

export interface ApiFilter {
  /** Of several, a run has any. */
  tag?: string | string[]
  taskIdentifier?: string
  status?: ApiStatus[]
  /** 1 to 100. */
  limit: number
  /** Trigger.dev's id of the last run of the page before. */
  after?: string
}

/** The pauses are the SDK's own. A try has up to three requests: a large payload goes to the object store first. */
const usual: Patience = { timeoutMs: 30_000, pausesMs: [1_000, 1_600, 2_560, 4_096], patienceMs: 40_000 }
/** As many as fit into an address. */
const tagsPerList = 50

export class TriggerApi {
  readonly #config: { baseURL: string; accessToken?: string; previewBranch: string }
  readonly #patience: Patience
  /** The same, where somebody else tries again. */
  readonly once: TriggerApi

  constructor(options: ApiOptions) {
    const { url, key, previewBranch, timeoutMs, pausesMs, patienceMs } = { ...usual, ...options }
    // Without a branch of ours the SDK would take one from VERCEL_GIT_COMMIT_REF; an empty one is none.
    this.#config = { baseURL: url, previewBranch: previewBranch ?? '' }
    // Where Trigger.dev runs us it provides a credential, which the SDK finds itself.
    if (key) {
      this.#config.accessToken = key.reveal()
      rememberSecret(key.reveal())
    }
    this.#patience = { timeoutMs, pausesMs, patienceMs }
    this.once = pausesMs.length === 0 ? this : new TriggerApi({ ...options, pausesMs: [] })
  }

  /** @throws ConfigError where no key is set. Nothing is sent for it. */
  async checkKey(): Promise<void> {
    if (this.#config.accessToken !== undefined) return
    try {
      await this.#client(() => true).runs.retrieve('run_none')
    } catch (error) {
      if (isNoKey(error)) throw noKey()
    }
  }

  /** Answers Trigger.dev's id of the run, and whether it had been there already, by its idempotency key. */
  async trigger(call: TriggerCall): Promise<{ id: string; isCached: boolean }> {
    const { id, payload, options, runId } = call
    return await this.#call({
      what: `to trigger ${id}`,
      ask: async (isOver) => {
        const handle = await this.#client(isOver).tasks.trigger(id, payload, options)
        return { id: handle.id, isCached: 'isCached' in handle && handle.isCached === true }
      },
      lookFor: async () => {
        const triggerId = (await this.once.find([runId])).get(runId)
        return triggerId === undefined ? null : { id: triggerId, isCached: false }
      },
    })
  }

  /**
   * At most 1,000 at once. The runs come to be a little later; of those that turn out to be there already, it answers
   * Trigger.dev's ids by the platform's.
   */
  async batch(calls: readonly TriggerCall[]): Promise<Map<string, string>> {
    const made = new Map<string, string>()
    let left = calls
    await this.#call({
      what: `to trigger a batch of ${calls.length}`,
      ask: async (isOver) => {
        await this.#client(isOver).batch.trigger([...left], undefined, { retry: singleTry })
        return true
      },
      lookFor: async () => {
        for (const [runId, id] of await this.once.find(left.map(({ runId }) => runId))) made.set(runId, id)
        left = left.filter(({ runId }) => !made.has(runId))
        return left.length === 0 ? true : null
      },
    })
    return made
  }

  async retrieve(triggerId: string): Promise<ApiRun | null> {
    const what = `to read run ${triggerId}`
    const run = await this.#call({
      what,
      ask: (isOver) => orNull(this.#client(isOver).runs.retrieve(triggerId)),
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
    return await this.#call({
      what: 'to list runs',
      ask: async (isOver) => {
        const page = await this.#client(isOver).runs.list(filter)
        return { data: page.data, hasMore: page.hasNextPage() }
      },
    })
  }

  /** Trigger.dev's ids of those of these runs that it lists. Of several with one id, the first that was made. */
  async find(runIds: readonly string[]): Promise<Map<string, string>> {
    const wanted = new Set(runIds)
    const found = new Map<string, string>()
    for (const some of portions(runIds, tagsPerList)) {
      const tag = some.map(runTag)
      for (let after: string | undefined, hasMore = true; hasMore; ) {
        const page = await this.list({ tag, limit: 100, ...(after && { after }) })
        for (const { id, tags } of page.data) {
          const runId = runIdInTags(tags)
          if (runId !== null && wanted.has(runId)) found.set(runId, id)
        }
        after = page.data.at(-1)?.id
        hasMore = page.hasMore && after !== undefined
      }
    }
    return found
  }

  async cancel(triggerId: string): Promise<void> {
    await this.#call({
      what: `to cancel run ${triggerId}`,
      ask: (isOver) => this.#client(isOver).runs.cancel(triggerId),
    })
  }

  /** False: it does not wait for its time (any more). */
  async reschedule(triggerId: string, delay: string | Date): Promise<boolean> {
    return await this.#call({
      what: `to reschedule run ${triggerId}`,
      ask: async (isOver) => {
        try {
          await this.#client(isOver).runs.reschedule(triggerId, { delay })
          return true
        } catch (error) {
          if (isBadRequest(error) || isNotFound(error)) return false
          throw error
        }
      },
    })
  }

  /**
   * The key is free again; one that is not taken is free already. A try that is still on its way while others go on would
   * free the key of the run that has it by then, so where one may be, this is an error and the key is left as it is.
   */
  async resetKey(taskId: string, key: string): Promise<void> {
    await this.#call({
      what: `to free an idempotency key of ${taskId}`,
      ask: (isOver) =>
        auth.withAuth(this.#configUntil(isOver), () => orNull(idempotencyKeys.reset(taskId, key))),
      neverTwice: true,
    })
  }

  #call<T>(call: Call<T>): Promise<T> {
    return callPatiently(call, this.#patience)
  }

  /**
   * It knows nothing of a run that it is used in: of runs with a parent Trigger.dev cancels the one with the other, and no
   * other engine does.
   */
  #client(isOver: () => boolean): TriggerClient {
    return new TriggerClient({ ...this.#configUntil(isOver), inheritContext: false })
  }

  /** The SDK takes no signal, but it reads the headers anew for each request: that is where a call is stopped. */
  #configUntil(isOver: () => boolean) {
    const additionalHeaders = {
      get 'x-trigger-source'(): string {
        if (isOver()) throw new Error('Nobody waits for this call any more.')
        return 'sdk'
      },
    }
    return { ...this.#config, requestOptions: { retry: singleTry, additionalHeaders } }
  }
}

const singleTry = { maxAttempts: 1 }

async function orNull<T>(asked: PromiseLike<T>): Promise<T | null> {
  try {
    return await asked
  } catch (error) {
    if (isNotFound(error)) return null
    throw error
  }
}

function isMissing(url: string | undefined, value: unknown): boolean {
  return url !== undefined && value === undefined
}
