import { describe, expect, test } from 'vitest'
import { ConfigError, InvalidTaskError } from '../src/errors.ts'
import { Platform } from '../src/platform.ts'

/** What is refused is refused before anything is connected to. */
const nowhere = { databaseUrl: 'postgres://jobs@127.0.0.1:1/jobs', directUrl: null, tasks: [] }

describe('the options of a platform', () => {
  test.each([null, 'tasks', [nowhere]])('%j are none', (options) => {
    expect(() => new Platform(options as never)).toThrow(ConfigError)
  })

  test('are checked like the environment', () => {
    expect(() => new Platform({ ...nowhere, poolSize: 0 })).toThrow(/poolSize/)
    expect(() => new Platform({ ...nowhere, poolsize: 5 } as never)).toThrow(/no setting poolsize/)
  })

  test('a list of tasks that is none is not taken for the tasks of the folder', async () => {
    const platform = new Platform({ ...nowhere, tasks: null as never })
    await expect(platform.registry()).rejects.toThrow(InvalidTaskError)
  })
})

describe('the options of a worker', () => {
  const refused: [
    options: unknown,
    refusal: typeof ConfigError | typeof InvalidTaskError,
    message: RegExp,
  ][] = [
    [null, ConfigError, /must be an object/],
    [{ concurrency: 0 }, ConfigError, /concurrency/],
    [{ concurrency: 10_001 }, ConfigError, /concurrency/],
    [{ concurrency: 2.5 }, ConfigError, /concurrency/],
    [{ concurrency: Number.NaN }, ConfigError, /concurrency/],
    [{ concurrency: '5' }, ConfigError, /concurrency/],
    [{ concurrency: null }, ConfigError, /concurrency/],
    [{ only: [] }, InvalidTaskError, /at least one/],
    [{ only: 'orders/*' }, InvalidTaskError, /at least one/],
    [{ only: [5] }, InvalidTaskError, /at least one/],
    [{ onSettled: 'log' }, ConfigError, /onSettled/],
    [{ tasks: ['orders/*'] }, ConfigError, /no option tasks/],
  ]
  test.each(refused)('%j', async (options, refusal, message) => {
    const starting = new Platform(nowhere).startWorker(options as never)
    await expect(starting).rejects.toThrow(refusal)
    await expect(starting).rejects.toThrow(message)
  })
})
