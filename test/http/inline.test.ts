/** With the inline engine, as the tests of an app have it: the run is there when the transaction has committed. */
import { expect, test } from 'vitest'
import { delivery, eventsOf, kit, newAccount, post, runsOf, useServer } from './kit.ts'

useServer({ engine: 'inline' })

test('an event becomes one run, which is carried out', async () => {
  const account = await newAccount()
  const answers = [
    await post(account.tenantId, 'mux', delivery(account, 'event_1')),
    await post(account.tenantId, 'mux', delivery(account, 'event_1')),
  ]
  expect(answers.map(({ body }) => body)).toEqual([{ received: true }, { received: true, duplicate: true }])
  await kit.drain()
  const [run, ...others] = await runsOf(account.tenantId)
  expect(run).toMatchObject({ taskId: 'inbox/mux', state: 'completed', output: 'video_1' })
  expect(others).toEqual([])
  expect(await eventsOf(account.tenantId)).toMatchObject([{ event_id: 'event_1', run_ids: [run!.id] }])
})
