import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Attempt, Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, type Running, startCgk } from './cgk.ts'

let database: TestDatabase
let env: Environment
let worker: Running
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  await cgk(['tenant:create', 'shop'], env)
  worker = startCgk(['worker'], env)
  await worker.says('Worker started')
})
afterAll(async () => {
  worker.child.kill('SIGTERM')
  expect(await worker.ended).toMatchObject({ code: 0, stdout: '' })
  await database.drop()
})

describe('trigger', () => {
  test('--wait prints what the run did', async () => {
    const [text, run] = await Promise.all([
      cgk([...wait({ ms: 1 }), '--wait'], env),
      cgkJson<Run>([...wait({ ms: 1 }), '--wait'], env),
    ])
    expect(text).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Waiting for run \S{36}\n$/) })
    expect(text.stdout).toMatch(/^state +completed, attempt 1 of 3$/m)
    expect(text.stdout).toContain('"waitedMs": 1')
    expect(run).toMatchObject({ state: 'completed', output: { waitedMs: 1 }, tenantId: 'shop' })
  })

  test('--wait exits 1 when the run failed, and what it threw cannot drive the terminal', async () => {
    const ended = await cgk(['trigger', 'work/fail', '--payload', '{"tenantId":"shop"}', '--wait'], env)
    expect(ended.code).toBe(1)
    expect(ended.stdout).toMatch(/^error +AbortTaskError: No luck\.$/m)
    expect(ended.stdout).toMatch(
      /^Failed attempts:\nattempt .*\n +1 +failed .* AbortTaskError \(TASK_ABORTED\): No luck\.$/m,
    )
    expect(ended.stdout).not.toContain('\u001b')
  })

  test('--wait gives up after --timeout; the run goes on', async () => {
    const ended = await cgk([...wait({ ms: 600_000 }), '--wait', '--timeout', '300ms'], env)
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    const [, id] = /run:show (\S+) \(WAIT_TIMEOUT\)/.exec(ended.stderr)!
    expect(['queued', 'running']).toContain((await cgkJson<Run>(['run:show', id!], env)).state)
    await cgk(['run:cancel', id!], env)
  })

  test('an interrupted wait ends at once; the run goes on', async () => {
    const waiting = startCgk([...wait({ ms: 3_000 }), '--wait'], env)
    await waiting.says('Waiting for run')
    waiting.child.kill('SIGINT')
    expect(await waiting.ended).toMatchObject({ code: 130, stdout: '' })
  })

  test('options reach the run', async () => {
    const runAt = new Date(Date.now() + 3_600_000).toISOString()
    const args = [...wait({ ms: 1 }), '--priority', '-5', '--tag', 'a,b', '--tag', 'c', '--max-attempts', '7']
    const keyed = [...args, '--run-at', runAt, '--idempotency-key', 'once', '--ttl', '1h']
    const { id } = await cgkJson<Run>(keyed, env)
    const [again, run] = await Promise.all([cgk(keyed, env), cgkJson<Run>(['run:show', id], env)])
    expect(again).toMatchObject({ code: 0, stdout: `${id}\n`, stderr: '' })
    const expected = {
      state: 'scheduled',
      runAt,
      priority: -5,
      tags: ['a,b', 'c'],
      maxAttempts: 7,
      attempt: 0,
    }
    expect(run).toMatchObject({ ...expected, idempotencyKey: 'once' })
  })

  test('refuses what it cannot use, without repeating the payload', async () => {
    const payload = (text: string) => cgk(['trigger', 'work/wait', '--payload', text], env)
    const [cutOff, comma, word, wrong, task, tenant, both, option, missing, unwaited, patience, gone] =
      await Promise.all([
        payload('{"tenantId":"shop","hush":'),
        payload('{"tenantId":"hush",}'),
        payload('hush'),
        payload('{"tenantId":"shop","ms":"hush"}'),
        cgk(['trigger', 'work/nothing', '--payload', '{}'], env),
        payload('{"tenantId":"nobody","ms":1}'),
        cgk([...wait({ ms: 1 }), '--delay', '1s', '--run-at', '2030-01-01'], env),
        cgk([...wait({ ms: 1 }), '--priority', 'high'], env),
        cgk(['trigger', 'work/wait'], env),
        cgk([...wait({ ms: 1 }), '--timeout', '5s'], env),
        cgk([...wait({ ms: 1 }), '--wait', '--timeout', 'soon'], env),
        cgk(wait({ ms: 1 }), { ...env, JOBS_TASKS: '/nowhere/index.ts' }),
      ])
    expect(unwaited).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('needs --wait') })
    expect(patience).toMatchObject({
      code: 1,
      stderr: sentence('--timeout must be', 'TRIGGER_OPTIONS_INVALID'),
    })
    expect(gone).toMatchObject({
      code: 1,
      stderr: sentence('no module /nowhere/index.ts', 'CONFIG_INVALID'),
    })
    expect(cutOff).toMatchObject({
      code: 1,
      stderr: sentence('--payload is not JSON: it ends too early.', 'PAYLOAD_INVALID'),
    })
    expect(comma).toMatchObject({
      code: 1,
      stderr: sentence('--payload is not JSON: look at character 20.', 'PAYLOAD_INVALID'),
    })
    expect(word).toMatchObject({ code: 1, stderr: sentence('--payload is not JSON.', 'PAYLOAD_INVALID') })
    expect(wrong).toMatchObject({ code: 1, stderr: sentence('ms: Invalid input', 'PAYLOAD_INVALID') })
    for (const { stderr, stdout } of [cutOff, comma, word, wrong])
      expect(stderr + stdout).not.toContain('hush')
    expect(task).toMatchObject({ code: 1, stderr: sentence('no task "work/nothing"', 'TASK_UNKNOWN') })
    expect(tenant).toMatchObject({ code: 1, stderr: sentence('no tenant "nobody"', 'TENANT_UNKNOWN') })
    expect(both).toMatchObject({ code: 1, stderr: sentence('exclude each other', 'TRIGGER_OPTIONS_INVALID') })
    expect(option).toMatchObject({ code: 2, stderr: expect.stringContaining('It must be a whole number.') })
    expect(missing).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("required option '--payload <json>'"),
    })
  })
})

test('run:show tells what triggered a run, its worker, its progress and the last lines of its log', async () => {
  const payload = JSON.stringify({ tenantId: 'shop', lines: 12, until: null, fails: false })
  const { id } = await cgkJson<Run>(['trigger', 'work/talk', '--payload', payload, '--wait'], env)
  const [text, json] = await Promise.all([
    cgk(['run:show', id], env),
    cgkJson<Run & { progress: unknown; lines: { seq: number }[] }>(['run:show', id], env),
  ])
  expect(text.stdout).toMatch(/^triggered by +app$/m)
  expect(text.stdout).toMatch(/^worker +\S+/m)
  expect(text.stdout).toMatch(/^progress +100 %, 12 of 12 \(.{19}Z\)$/m)
  expect(text.stdout).toMatch(/\nLast lines of its log:\n.* info {2}a line {2}line=4\n/)
  expect(text.stdout).toMatch(/ warn {2}in trouble\n/)
  expect(json).toMatchObject({ id, triggeredBy: { kind: 'app' }, progress: { current: 12, total: 12 } })
  expect(json.lines.map(({ seq }) => seq)).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12, 13])
  expect(await cgk(['run:show', 'nothing'], env)).toMatchObject({
    code: 1,
    stderr: sentence('There is no run "nothing"', 'RUN_UNKNOWN'),
  })
})

test('run:list filters and turns pages', async () => {
  const tags = [['--tag', 'page'], ['--tag', 'page'], []]
  await Promise.all(tags.map((tag) => cgk([...wait({ ms: 1 }), '--delay', '1h', ...tag], env)))
  const list = (...args: string[]) =>
    cgkJson<{ runs: Run[]; next: string | null }>(['run:list', ...args], env)
  const tagged = ['--tag', 'page', '--tenant', 'shop', '--task', 'work/wait', '--state', 'scheduled,queued']
  const [first, text, none, bad] = await Promise.all([
    list(...tagged, '--limit', '1'),
    cgk(['run:list', ...tagged, '--limit', '1'], env),
    cgk(['run:list', '--tenant', 'nobody'], env),
    cgk(['run:list', '--state', 'asleep'], env),
  ])
  const second = await list(...tagged, '--after', first.next!)
  expect(first.runs).toHaveLength(1)
  expect(second).toMatchObject({ runs: [{ tags: ['page'] }], next: null })
  expect(second.runs[0]!.id).not.toBe(first.runs[0]!.id)
  expect(text.stdout).toMatch(
    /^run +task .*\n\S{36} +work\/wait +shop +scheduled +\S{10} \S{9} +0\/3.*\n\nMore: add --after '.+'\n$/,
  )
  expect(none).toMatchObject({ code: 0, stdout: 'No runs.\n' })
  expect(bad).toMatchObject({ code: 1, stderr: sentence('states must be some of', 'RUN_FILTER_INVALID') })
})

test('run:cancel ends an open run, and says when there is nothing to end', async () => {
  const { id } = await cgkJson<Run>([...wait({ ms: 60_000 })], env)
  await worker.says(id)
  expect(await cgk(['run:cancel', id], env)).toMatchObject({ code: 0, stdout: `Cancelled run ${id}.\n` })
  const [again, shown, unknown] = await Promise.all([
    cgk(['run:cancel', id], env),
    cgkJson<Run & { attempts: Attempt[] }>(['run:show', id], env),
    cgk(['run:cancel', 'nothing'], env),
  ])
  expect(again).toMatchObject({ code: 1, stdout: `Run ${id} had ended already: cancelled.\n` })
  expect(shown.state).toBe('cancelled')
  expect(unknown).toMatchObject({ code: 1, stderr: sentence('There is no run "nothing"', 'RUN_UNKNOWN') })
})

function wait(payload: { ms: number }): string[] {
  return ['trigger', 'work/wait', '--payload', JSON.stringify({ tenantId: 'shop', ...payload })]
}

function sentence(part: string, code: string): unknown {
  const escaped = part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return expect.stringMatching(new RegExp(`^cgk: .*${escaped}.* \\(${code}\\)\\n$`))
}
