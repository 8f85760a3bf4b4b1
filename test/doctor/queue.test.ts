/** The checks of the engine and of the runs in it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { engine } from '../../src/doctor/engine.ts'
import { runs } from '../../src/doctor/runs.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { TriggerPlatform } from '../fixtures/trigger/platform.ts'
import { openPatient, type Patient, said } from './kit.ts'

const note = defineTask({ id: 'doctor/note', payload: tenantPayload({}), run: () => null })
const gone = defineTask({ id: 'doctor/gone', payload: tenantPayload({}), run: () => null })

let patient: Patient
let tenantId: string
beforeAll(async () => {
  patient = await openPatient([note])
  tenantId = await patient.platform.tenant()
})
afterAll(() => patient[Symbol.asyncDispose]())

describe('pg-boss', () => {
  test('from a task without a queue and without a worker to one that is worked on', async () => {
    expect(said(await patient.look(engine))).toEqual([
      ['ok', expect.stringMatching(/^The queue's schema has version \d+\.$/)],
      ['warning', '1 task has no queue yet: doctor/note.'],
      ['warning', 'No worker has been seen in the last minutes.'],
    ])
    await note.trigger({ tenantId })
    expect(said(await patient.look(engine))).toEqual([
      ['ok', expect.any(String)],
      ['problem', 'Runs are due, and no worker has been seen.'],
    ])
    const worker = await patient.platform.platform.startWorker()
    await expect
      .poll(async () => said(await patient.look(engine)), { timeout: 20_000 })
      .toEqual([
        ['ok', expect.any(String)],
        ['ok', '1 worker listens for runs.'],
      ])
    await worker.stop()
  })

  test('runs of a task that nobody has any more', async () => {
    await gone.trigger({ tenantId })
    expect(said(await patient.look(engine))).toContainEqual([
      'warning',
      'Runs wait for tasks that are not registered here: doctor/gone.',
    ])
  })

  test.each([
    ['older', -1, 'Run: cgk migrate'],
    ['newer', 1, 'Deploy the newer release everywhere.'],
  ])('a schema of an %s release, and none', async (_, step, todo) => {
    await patient.database.query('UPDATE pgboss.version SET version = version + $1', [step])
    const findings = await patient.look(engine)
    await patient.database.query('UPDATE pgboss.version SET version = version - $1', [step])
    expect(findings).toMatchObject([
      { state: 'problem', found: expect.stringContaining('this release works with'), todo },
    ])
    await patient.database.query('ALTER SCHEMA pgboss RENAME TO elsewhere')
    const none = await patient.look(engine)
    await patient.database.query('ALTER SCHEMA elsewhere RENAME TO pgboss')
    expect(said(none)).toEqual([['problem', 'The queue has no schema in this database yet.']])
  })

  test('runs that nobody takes back, and runs that wait for long', async () => {
    await patient.platform.drain({ only: [note] })
    await patient.database.query(`DELETE FROM pgboss.job WHERE name = 'doctor/gone'`)
    expect(said(await patient.look(runs))).toEqual([['ok', expect.stringContaining('No run is lost')]])
    await note.trigger({ tenantId })
    await note.trigger({ tenantId })
    await patient.database.query(
      `UPDATE pgboss.job SET start_after = now() - interval '20 minutes' WHERE state = 'created'`,
    )
    await patient.database.query(
      `UPDATE pgboss.job SET state = 'active', started_on = now(), heartbeat_on = now() - interval '5 minutes'
       WHERE id = (SELECT id FROM pgboss.job WHERE state = 'created' LIMIT 1)`,
    )
    expect(said(await patient.look(runs))).toEqual([
      ['problem', 'Nobody takes back the runs that a silent worker has left: 1 of doctor/note.'],
      ['warning', 'Runs have been due for long: 1 of doctor/note, the oldest for 20 min.'],
    ])
  })
})

describe('Trigger.dev', () => {
  let cloud: TriggerPlatform
  beforeAll(async () => {
    cloud = await new TriggerPlatform().listen()
  })
  afterAll(() => cloud.close())
  const lookAt = (url: string, triggerSecretKey: string) =>
    patient.look(engine, { engine: 'trigger.dev', triggerApiUrl: url, triggerSecretKey })

  test('it answers and takes the key', async () => {
    expect(said(await lookAt(cloud.url, cloud.secretKey))).toEqual([
      ['ok', `Trigger.dev answers at ${new URL(cloud.url).host}, and takes the key.`],
    ])
  })

  test('it does not take the key', async () => {
    const findings = await lookAt(cloud.url, 'tr_prod_wrong_0123456789')
    expect(said(findings)).toEqual([['problem', expect.stringContaining('does not take the key')]])
    expect(JSON.stringify(findings)).not.toContain('tr_prod_wrong')
  })
})

test('the inline engine needs nothing', async () => {
  expect(said(await patient.look(engine, { engine: 'inline' }))).toEqual([['ok', expect.any(String)]])
  expect(await patient.look(runs, { engine: 'inline' })).toEqual([])
})
