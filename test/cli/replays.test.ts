/** `run:replay` and `run:cancel` of many runs, `replay:*` and `audit:list`. */
import { randomUUID } from 'node:crypto'
import { hostname, userInfo } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { AuditPage } from '../../src/audit/audit.ts'
import type { ActionRun, BulkAction } from '../../src/runs/bulk/action.ts'
import type { ActionPage } from '../../src/runs/bulk/read.ts'
import type { Results } from '../../src/runs/bulk/results.ts'
import type { Run } from '../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Environment, fixtureTasks, startCgk } from './cgk.ts'
import { cgkAtTerminal } from './terminal.ts'

type Shown = BulkAction & { results: Results; runs: ActionRun[]; next: number | null }

const me = `${userInfo().username}@${hostname()}`
const reason = 'Stripe is back'

let database: TestDatabase
let env: Environment
/** Of two runs of `shop` and one of `store`, which have failed. */
let fingerprint: string
beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  for (const slug of ['shop', 'store']) await cgk(['tenant:create', slug], env)
  await Promise.all(['shop', 'shop', 'store'].map((tenantId) => trigger('work/fail', { tenantId })))
  await drain()
  fingerprint = (await listRuns('--task', 'work/fail'))[0]!.fingerprint!
}, 180_000)
afterAll(() => database.drop())

async function trigger(task: string, payload: object, ...args: string[]): Promise<string> {
  return (await cgkJson<Run>(['trigger', task, '--payload', JSON.stringify(payload), ...args], env)).id
}

/** A worker, for as long as there are runs that could run. */
async function drain(): Promise<void> {
  const worker = startCgk(['worker'], env)
  while ((await listRuns('--state', 'queued,running,retrying')).length > 0);
  worker.child.kill('SIGTERM')
  await worker.ended
}

async function listRuns(...args: string[]): Promise<Run[]> {
  return (await cgkJson<{ runs: Run[] }>(['run:list', ...args], env)).runs
}

const show = (id: string) => cgkJson<Shown>(['replay:show', id], env)
const yes = ['--yes', '--reason', reason]

describe('run:replay', { timeout: 120_000 }, () => {
  test('without a terminal and without --yes shows the preview, does nothing and exits 2', async () => {
    const args = ['run:replay', '--failure', fingerprint, '--since', '1h', '--state', 'failed']
    const before = await listRuns('--task', 'work/fail')
    const [text, preview] = await Promise.all([cgk(args, env), cgkJson<BulkAction>(args, env)])
    expect(text).toMatchObject({ code: 2, stderr: expect.stringContaining('add --yes and --reason') })
    expect(text.stdout).toMatch(
      /^Replay 3 runs of 2 tenants:\ntenant +runs\nshop +2\nstore +1\n\ntask +runs\nwork\/fail +3\n/,
    )
    expect(preview).toMatchObject({
      state: 'previewed',
      total: 3,
      selection: { filter: { fingerprint, states: ['failed'] } },
      createdBy: { kind: 'cli', id: null, name: me },
    })
    expect(await listRuns('--task', 'work/fail')).toEqual(before)
    expect(await show(preview.id)).toMatchObject({ state: 'previewed', confirmedAt: null })
  })

  test('--yes does it, links the new runs, and says who and why', async () => {
    const old = await listRuns('--failure', fingerprint, '--tenant', 'shop')
    const args = ['run:replay', '--failure', fingerprint, '--tenant', 'shop', ...yes, '--rate', '1']
    const done = await cgk(args, env)
    expect(done).toMatchObject({ code: 0, stderr: '' })
    const [, id] = /^Replayed: 2 of 2 done\.\nWatch .*: cgk replay:show (\S+) --follow$/m.exec(done.stdout)!
    const [shown, text, listed, audit] = await Promise.all([
      show(id!),
      cgk(['replay:show', id!, '--limit', '1'], env),
      cgkJson<ActionPage>(['replay:list', '--limit', '1'], env),
      cgkJson<AuditPage>(['audit:list', '--tenant', 'shop', '--action', 'run.replay'], env),
    ])
    expect(shown).toMatchObject({
      state: 'completed',
      perSecond: 1,
      reason,
      results: { queued: 2 },
      next: null,
    })
    expect(shown.runs.map(({ runId }) => runId)).toEqual(old.map((run) => run.id))
    const [replay] = await listRuns('--replay-of', old[0]!.id, '--triggered-by', `replay:${old[0]!.id}`)
    expect(replay!.id).toBe(shown.runs[0]!.newRunId)
    expect(text.stdout).toMatch(/^replay +\S{36}\nstate +completed\nruns +2 of 2 done\nnew runs +2 queued\n/)
    expect(text.stdout).toMatch(new RegExp(`^confirmed +.* by ${me}\nreason +${reason}$`, 'm'))
    expect(text.stdout).toMatch(
      /^run +task .*\n\S{36} +work\/fail +shop +done +\S{36} +queued\n\nMore: add --after 1\n$/m,
    )
    expect(listed).toMatchObject({ actions: [{ id, kind: 'replay' }] })
    expect(audit.entries).toMatchObject([
      { actor: { kind: 'cli', id: null, name: me }, subject: id, reason, details: { runs: 2 } },
    ])
  })

  test('of one run takes another payload, of many a merge patch; what the task refuses is left out', async () => {
    const [one, two] = await Promise.all([wait({ ms: 1 }), wait({ ms: 2 })])
    await drain()
    const payload = JSON.stringify({ tenantId: 'shop', ms: 3 })
    const whole = await cgkJson<BulkAction>(['run:replay', one, '--payload', payload, ...yes], env)
    const patched = await cgkJson<BulkAction>(['run:replay', one, two, '--patch', '{"ms":4}', ...yes], env)
    for (const action of [whole, patched]) expect(action).toMatchObject({ state: 'completed' })
    const payloads = (await listRuns('--task', 'work/wait', '--triggered-by', 'replay')).map(
      (run) => run.payload,
    )
    expect(payloads).toEqual([4, 4, 3].map((ms) => expect.objectContaining({ ms })))
    const refused = await cgk(['run:replay', one, two, '--patch', '{"ms":"many"}', ...yes], env)
    expect(refused).toMatchObject({ code: 1, stderr: '' })
    expect(refused.stdout).toMatch(/^Replay 0 of 2 runs of 1 tenant:\n/)
    expect(refused.stdout).toMatch(/^2 runs cannot be replayed:\nrun .*\n\S{36} +shop +work\/wait +ms: /m)
    expect(refused.stdout).toContain('There is nothing left to replay.')
  })

  test('finds the failed ones, unless it is told which', async () => {
    const args = ['run:replay', '--tenant', 'shop', '--task', 'work/wait']
    const preview = async (...more: string[]) => await cgkJson<BulkAction>([...args, ...more], env)
    const [usual, completed] = [await preview(), await preview('--state', 'completed,failed')]
    expect(usual).toMatchObject({ total: 0, selection: { filter: { states: ['failed'] } } })
    expect(completed.total).toBeGreaterThan(0)
  })

  test('leaves out what is still open, and says so', async () => {
    const open = await wait({ ms: 1 }, '--delay', '1h')
    const [ended] = await listRuns('--task', 'work/fail', '--state', 'failed')
    const [alone, both] = [
      await cgk(['run:replay', open, ...yes], env),
      await cgk(['run:replay', open, ended!.id, ...yes], env),
    ]
    expect(alone).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('1 run is still open and left out.'),
    })
    expect(both.code).toBe(1)
    expect(both.stdout).toContain('Replayed: 1 of 1 done.')
  })

  test('asks at a terminal for the number and for a reason', async () => {
    const args = ['run:replay', '--failure', fingerprint, '--tenant', 'store', '--state', 'failed']
    const [question, why] = ['Type 1 to confirm', 'Why?']
    const refused = await cgkAtTerminal(args, env, [[question, 'y\r']])
    expect(refused).toMatchObject({
      code: 2,
      shown: expect.stringContaining('That is not 1. Nothing was done.'),
    })
    const left = await cgkAtTerminal(args, env, [[question, '\u0003']])
    expect(left.code).toBe(130)
    const confirmed = await cgkAtTerminal(args, env, [
      [question, '1\r'],
      [why, 'Mended\r'],
    ])
    expect(confirmed).toMatchObject({ code: 0, shown: expect.stringContaining('Replayed: 1 of 1 done.') })
    const { entries } = await cgkJson<AuditPage>(
      ['audit:list', '--tenant', 'store', '--action', 'run.replay'],
      env,
    )
    expect(entries).toMatchObject([{ action: 'run.replay', reason: 'Mended' }])
  })

  test('--detach leaves it to the workers; Ctrl-C does as well, and says how to watch and stop it', async () => {
    const ids = await Promise.all([1, 2, 3].map((ms) => wait({ ms })))
    await drain()
    const detached = await cgkJson<BulkAction>(['run:replay', ...ids, ...yes, '--detach'], env)
    expect(detached).toMatchObject({ state: 'running', counts: { waiting: 3 } })
    const stopped = await cgk(['replay:stop', detached.id], env)
    expect(stopped).toMatchObject({ code: 0, stdout: 'Stopped: 0 of 3 done, 3 skipped.\n' })

    const replaying = startCgk(['run:replay', ...ids, ...yes, '--rate', '1'], env)
    await replaying.says('Replay 3 runs')
    let action: BulkAction | undefined
    while (action?.state !== 'running') {
      ;[action] = (await cgkJson<ActionPage>(['replay:list', '--limit', '1'], env)).actions
      if (action!.state === 'completed') throw new Error('Too fast to be interrupted')
    }
    replaying.child.kill('SIGINT')
    expect(await replaying.ended).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(
        /^Left half-way\. A worker or cgk serve goes on .*cgk replay:show \S+ --follow; .*cgk replay:stop \S+\n$/,
      ),
    })
    const worker = startCgk(['worker'], env)
    const followed = await cgk(['replay:show', action.id, '--follow'], env)
    worker.child.kill('SIGTERM')
    await worker.ended
    expect(followed.code).toBe(0)
    expect(followed.stdout).toMatch(/^new runs +3 completed$/m)
    expect((await listRuns('--replay-of', ids[0]!)).length).toBe(1)
  })

  test('refuses what it cannot use', async () => {
    const id = randomUUID()
    const refused: [string[], code: number, said: string][] = [
      [[id, ...yes], 1, '(RUN_UNKNOWN)'],
      [['nothing', ...yes], 1, '(RUN_UNKNOWN)'],
      [['--tenant', 'nobody', ...yes], 1, '(TENANT_UNKNOWN)'],
      [['--state', 'asleep', ...yes], 1, '(RUN_FILTER_INVALID)'],
      [['--state', 'queued', ...yes], 1, '(RUN_FILTER_INVALID)'],
      [['--id', 'ab', ...yes], 1, '(RUN_FILTER_INVALID)'],
      [['--since', 'yesterday', ...yes], 2, 'It must be a time'],
      [yes, 2, 'which runs?'],
      [[id, '--task', 'work/fail', ...yes], 2, 'ids or filters, not both'],
      [[id, '--yes'], 2, '--yes needs a --reason'],
      [[id, '--payload', '{}', '--patch', '{}', ...yes], 2, 'not both'],
      [[id, randomUUID(), '--payload', '{}', ...yes], 2, 'a --payload is of one run'],
      [['--task', 'work/fail', '--payload', '{}', ...yes], 2, 'a --payload is of one run'],
      [[id, '--patch', '[]', ...yes], 2, 'It must be a JSON object'],
      [['--task', 'work/fail', '--patch', '{"tenantId":"store"}', ...yes], 1, '(BULK_ACTION_INVALID)'],
      [[id, '--rate', '0', ...yes], 2, 'It must be at least 1'],
    ]
    for (const [args, code, said] of refused) {
      const ended = await cgk(['run:replay', ...args], env)
      expect(ended, args.join(' ')).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(said) })
    }
    const nothing = await cgk(['run:replay', '--tag', 'no such tag', ...yes], env)
    expect(nothing).toMatchObject({ code: 0, stdout: 'Nothing to replay: no run that matches is failed.\n' })
    const help = await cgk(['run:replay', '--help'], env)
    expect(help.stdout).toContain('Exit codes: 0 all done')
  })
})

describe('replay:confirm', { timeout: 120_000 }, () => {
  test('does what the preview has shown, once, and nothing that matches since', async () => {
    const tagged = ['--tag', 'confirmed']
    await trigger('work/fail', { tenantId: 'shop' }, ...tagged)
    await drain()
    const shown = await cgk(['run:replay', ...tagged], env)
    const [, confirm, id] = /: cgk (replay:confirm) (\S+) --reason /.exec(shown.stderr)!
    await trigger('work/fail', { tenantId: 'shop' }, ...tagged)
    await drain()
    const args = [confirm!, id!, '--reason', reason]
    const done = await cgk(args, env)
    expect(done).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Replayed: 1 of 1 done\.\n/) })
    expect(await cgkJson<BulkAction>(args, env)).toMatchObject({
      state: 'completed',
      confirmedBy: { name: me },
    })
    expect(await listRuns(...tagged, '--state', 'queued')).toHaveLength(1)
  })

  test('goes on with what was left', async () => {
    const left = await trigger('work/wait', { tenantId: 'store', ms: 1 }, '--delay', '1h')
    const other = await trigger('work/wait', { tenantId: 'store', ms: 1 }, '--delay', '1h')
    const { id } = await cgkJson<BulkAction>(['run:cancel', left, other, ...yes, '--detach'], env)
    const args = ['replay:confirm', id, '--reason', reason]
    expect(await cgk(args, env)).toMatchObject({ code: 0, stdout: 'Cancelled: 2 of 2 done.\n' })
  })

  test('refuses what it cannot use', async () => {
    const { id: stopped } = await cgkJson<BulkAction>(['run:replay', '--task', 'work/fail'], env)
    await cgk(['replay:stop', stopped], env)
    const refused: [string[], code: number, said: string][] = [
      [[randomUUID(), '--reason', reason], 1, '(BULK_ACTION_UNKNOWN)'],
      [[stopped, '--reason', reason], 1, '(BULK_ACTION_STATE)'],
      [[stopped, '--reason', ' '], 1, '(BULK_ACTION_INVALID)'],
      [[stopped], 2, "required option '--reason <text>'"],
      [[stopped, '--reason', reason, '--rate', '0'], 2, 'It must be at least 1'],
    ]
    for (const [args, code, said] of refused) {
      const ended = await cgk(['replay:confirm', ...args], env)
      expect(ended, args.join(' ')).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(said) })
    }
  })
})

describe('run:cancel', { timeout: 120_000 }, () => {
  test('of many shows which, and does it with --yes', async () => {
    const later = ['--delay', '1h', '--tag', 'later']
    await Promise.all([wait({ ms: 1 }, ...later), wait({ ms: 1 }, ...later)])
    const args = ['run:cancel', '--tag', 'later']
    expect(await cgk(args, env)).toMatchObject({
      code: 2,
      stdout: expect.stringMatching(/^Cancel 2 runs of 1 tenant:\n/),
    })
    const cancelled = await cgkJson<BulkAction>([...args, ...yes], env)
    expect(cancelled).toMatchObject({ kind: 'cancel', state: 'completed', counts: { done: 2, waiting: 0 } })
    expect((await listRuns('--tag', 'later')).map(({ state }) => state)).toEqual(['cancelled', 'cancelled'])
    expect(await cgk([...args, ...yes], env)).toMatchObject({
      code: 0,
      stdout: 'Nothing to cancel: no run that matches is open.\n',
    })
    expect((await cgk(['replay:show', cancelled.id, '--follow'], env)).code).toBe(0)
  })

  test('of one by its id is at once, and in the audit log', async () => {
    const id = await wait({ ms: 1 }, '--delay', '1h')
    const args = ['run:cancel', id, '--reason', reason]
    expect(await cgkJson(args, env)).toEqual({ id, cancelled: true, state: 'cancelled' })
    const { entries } = await cgkJson<AuditPage>(
      ['audit:list', '--action', 'run.cancel', '--limit', '1'],
      env,
    )
    expect(entries).toMatchObject([{ tenantId: 'shop', subject: id, reason, actor: { name: me } }])
    expect((await cgk(args, env)).code).toBe(1)
  })

  test('refuses what it cannot use', async () => {
    const refused: [string[], code: number, said: string][] = [
      [[randomUUID()], 1, '(RUN_UNKNOWN)'],
      [[randomUUID(), randomUUID(), ...yes], 1, '(RUN_UNKNOWN)'],
      [['--state', 'failed', ...yes], 1, '(RUN_FILTER_INVALID)'],
      [['--tenant', 'nobody', ...yes], 1, '(TENANT_UNKNOWN)'],
      [[], 2, 'which runs?'],
      [['--tenant', 'shop', '--yes'], 2, '--yes needs a --reason'],
      [['--tenant', 'shop', '--patch', '{}'], 2, "unknown option '--patch'"],
    ]
    for (const [args, code, said] of refused) {
      const ended = await cgk(['run:cancel', ...args], env)
      expect(ended, args.join(' ')).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(said) })
    }
  })
})

test('replay:show, replay:stop, replay:list and audit:list refuse what they cannot use, and turn pages', async () => {
  const id = randomUUID()
  const refused: [string[], code: number, said: string][] = [
    [['replay:show', id], 1, '(BULK_ACTION_UNKNOWN)'],
    [['replay:show', 'nothing', '--follow'], 1, '(BULK_ACTION_UNKNOWN)'],
    [['replay:show', id, '--after', 'x'], 2, 'It must be a whole number'],
    [['replay:stop', id], 1, '(BULK_ACTION_UNKNOWN)'],
    [['replay:list', '--limit', '0'], 1, '(RUN_FILTER_INVALID)'],
    [['replay:list', '--after', 'x'], 1, '(RUN_FILTER_INVALID)'],
    [['audit:list', '--limit', '1001'], 1, '(RUN_FILTER_INVALID)'],
    [['audit:list', '--after', 'x'], 1, '(RUN_FILTER_INVALID)'],
  ]
  for (const [args, code, said] of refused) {
    const ended = await cgk(args, env)
    expect(ended, args.join(' ')).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(said) })
  }
  const { actions, next } = await cgkJson<ActionPage>(['replay:list', '--limit', '1'], env)
  const text = await cgk(['replay:list', '--after', next!, '--limit', '1'], env)
  expect(text.stdout).toMatch(
    /^id +kind +state .*\n\S{36} +(replay|cancel) +\w+ .*\n\nMore: add --after '\S{36}'\n$/,
  )
  expect(text.stdout).not.toContain(actions[0]!.id)
  const [audit, none] = await Promise.all([
    cgk(['audit:list', '--limit', '1'], env),
    cgk(['audit:list', '--tenant', 'nobody'], env),
  ])
  expect(audit.stdout).toMatch(
    new RegExp(`^when +who .*\n\\S{10} \\S{9} +cli ${me} .*\n\nMore: add --after '\\d+'\n$`),
  )
  expect(none).toMatchObject({ code: 0, stdout: 'No entries.\n' })
  const { id: preview } = await cgkJson<BulkAction>(['run:replay', '--task', 'work/fail'], env)
  expect(await cgk(['replay:stop', preview], env)).toMatchObject({ code: 0 })
  const ended = await cgk(['replay:stop', preview], env)
  expect(ended).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^It had ended already \(stopped\): /),
  })
}, 120_000)

function wait(payload: { ms: number }, ...args: string[]): Promise<string> {
  return trigger('work/wait', { tenantId: 'shop', ...payload }, ...args)
}
