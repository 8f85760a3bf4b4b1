/** On Trigger.dev's side runs have the database, and write into the same logs. */
import { expect, test } from 'vitest'
import { runs } from '../../src/default-platform.ts'
import { createLogger } from '../../src/log.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { toTriggerTasks } from '../../src/trigger.ts'
import { cloud, newTenant, onTriggerDev, stored } from '../engines/trigger/kit.ts'
import { defineIn, Executor } from '../fixtures/trigger/executor.ts'

const talk = defineTask({
  id: 'logs-test/talk',
  payload: tenantPayload({}),
  retry: { maxAttempts: 2, minDelay: '1m' },
  run(_, { attempt, logger, progress }) {
    logger.info({ page: attempt }, 'there')
    progress(attempt / 2)
    if (attempt === 1) throw new Error('once more')
  },
})
defineIn('tasks/index.trigger.ts', () => toTriggerTasks([talk]))

onTriggerDev({ tasks: [talk], logger: createLogger('info', { write: () => {} }) })

async function drain(): Promise<void> {
  const { url, secretKey } = cloud
  const executor = new Executor({
    url,
    secretKey,
    waitpoint: (id) => cloud.waitpoint(id),
    waitForRun: (...run) => cloud.waitForRun(...run),
  })
  const working = cloud.work({
    runAttempt: (...attempt) => executor.runAttempt(...attempt),
    isWanted: (taskId) => taskId === talk.id,
    onAttempt: () => {},
  })
  await expect.poll(() => cloud.store.unfinished().has(talk.id), { timeout: 20_000 }).toBe(false)
  await working.stop()
}

test('lines and progress of both attempts, by either name of the run', async () => {
  const { id } = await talk.trigger({ tenantId: await newTenant() })
  await drain()
  expect(await runs.progress(id)).toMatchObject({ fraction: 0.5, attempt: 1 })
  cloud.advance(120_000)
  await drain()
  expect((await runs.get(id)).state).toBe('completed')
  const { lines } = await runs.logs(id)
  expect(lines.map(({ seq, attempt, message, fields }) => [seq, attempt, message, fields])).toEqual([
    [1, 1, 'there', { page: 1 }],
    [2, 2, 'there', { page: 2 }],
  ])
  const theirs = stored(id).id
  expect(await runs.logs(theirs)).toEqual(await runs.logs(id))
  expect(await runs.progress(theirs)).toMatchObject({ fraction: 1, attempt: 2 })
  const followed: number[] = []
  for await (const { seq } of runs.followLogs(theirs)) followed.push(seq)
  expect(followed).toEqual([1, 2])
})
