/** The commands for runs, with Trigger.dev behind them. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { TriggerPlatform, type Working } from '../fixtures/trigger/platform.ts'
import { cgk, cgkJson, type Environment, fixtureTasks } from './cgk.ts'

let database: TestDatabase
let cloud: TriggerPlatform
let env: Environment
/** Says what a run was asked for, or fails as it was asked to. */
let working: Working
beforeAll(async () => {
  database = await createTestDatabase()
  cloud = await new TriggerPlatform().listen()
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: fixtureTasks,
    JOBS_ENGINE: 'trigger.dev',
    TRIGGER_API_URL: cloud.url,
    TRIGGER_SECRET_KEY: cloud.secretKey,
  }
  await cgk(['tenant:create', 'shop'], env)
  working = cloud.work({
    isWanted: (taskId) => taskId === 'work/fail' || taskId === 'work/wait',
    runAttempt: async (taskId, { run }) =>
      taskId === 'work/wait'
        ? { ok: true, id: run.id, output: '{"waitedMs":1}', outputType: 'application/json' }
        : {
            ok: false,
            id: run.id,
            error: {
              type: 'BUILT_IN_ERROR',
              name: 'AbortTaskError [TASK_ABORTED]',
              message: 'No luck.',
              stackTrace: '',
            },
          },
  })
})
beforeEach(() => expect(cloud.misfits).toEqual([]))
afterAll(async () => {
  await working.stop()
  await cloud.close()
  await database.drop()
})

const payload = ['--payload', '{"tenantId":"shop","ms":1}']

describe('cgk', () => {
  test('trigger --wait prints what the run did', async () => {
    const ended = await cgk(['trigger', 'work/wait', ...payload, '--wait'], env)
    expect(ended).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Waiting for run \S{36}\n$/) })
    expect(ended.stdout).toMatch(/^state +completed, attempt 1 of \d+$/m)
    expect(ended.stdout).toContain('"waitedMs": 1')
    const failed = await cgk(['trigger', 'work/fail', '--payload', '{"tenantId":"shop"}', '--wait'], env)
    expect(failed.code).toBe(1)
    expect(failed.stdout).toMatch(/^error +AbortTaskError \(TASK_ABORTED\): No luck\.$/m)
  })

  test('run:list, run:show and run:cancel', async () => {
    const trigger = ['trigger', 'work/wait', ...payload, '--delay', '1h', '--tag', 'late']
    const { id } = await cgkJson<{ id: string }>(trigger, env)
    const { runs } = await cgkJson<{ runs: Run[] }>(['run:list', '--tenant', 'shop', '--tag', 'late'], env)
    expect(runs).toMatchObject([{ id, state: 'scheduled', taskId: 'work/wait' }])
    expect((await cgk(['run:list', '--state', 'scheduled'], env)).stdout).toContain(id)
    const triggerId = cloud.store.all().find(({ tags }) => tags.includes('late'))!.id
    for (const shown of [id, triggerId]) {
      expect(await cgkJson<Run>(['run:show', shown], env)).toMatchObject({ id, state: 'scheduled' })
    }
    expect(await cgk(['run:cancel', id], env)).toMatchObject({ code: 0, stdout: `Cancelled run ${id}.\n` })
    const again = await cgk(['run:cancel', id], env)
    expect(again).toMatchObject({ code: 1, stdout: `Run ${id} had ended already: cancelled.\n` })
  })

  test('worker refuses, and says who runs tasks', async () => {
    const ended = await cgk(['worker'], env)
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(/npx trigger\.dev deploy.*\(CONFIG_INVALID\)\n$/)
  })

  test('what is wrong with Trigger.dev is a sentence, and the key is in none', async () => {
    const { TRIGGER_SECRET_KEY: _, ...keyless } = env
    const without = await cgk(['run:list'], keyless)
    expect(without).toMatchObject({ code: 1, stderr: expect.stringContaining('TRIGGER_SECRET_KEY') })
    const wrong = await cgk(['trigger', 'work/wait', ...payload], {
      ...env,
      TRIGGER_SECRET_KEY: 'tr_prod_hush',
    })
    expect(wrong).toMatchObject({ code: 1, stdout: '' })
    expect(wrong.stderr).toMatch(
      /^cgk: Trigger\.dev refused to trigger work\/wait \(HTTP 401\).*\(TRIGGER_REFUSED\)\n$/,
    )
    expect(wrong.stderr).not.toContain('hush')
  })
})
