/** The real `cgk deploy:check`: the bundler and the indexer of Trigger.dev's own CLI, without network. */
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { noNetwork } from '../fixtures/network/index.ts'
import { makeProject } from '../fixtures/trigger/project.ts'

const root = resolve(import.meta.dirname, '../..')
const cgk = join(root, 'src/cli/cgk.ts')
/** A build takes seconds, and many on a machine with other work. */
vi.setConfig({ testTimeout: 180_000 })

interface Checked {
  code: number
  stdout: string
  stderr: string
  /** Hosts that it tried to reach. */
  tried: string[]
}

/** Nothing of the environment but where programs are, and no way out of this machine. */
async function run(cwd: string, args: readonly string[]): Promise<Checked> {
  const network = await noNetwork()
  const env = { PATH: process.env.PATH!, NODE_OPTIONS: network.nodeOptions }
  const ran = await new Promise<Omit<Checked, 'tried'>>((done) => {
    execFile(process.execPath, args, { cwd, env }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
  const tried = await network.tried()
  await network.remove()
  return { ...ran, tried }
}

async function check(cwd: string, ...args: string[]): Promise<Checked> {
  const checked = await run(cwd, [cgk, 'deploy:check', ...args])
  expect(checked.tried).toEqual([])
  return checked
}

async function project(files: Record<string, string>): Promise<string> {
  const { folder, remove } = await makeProject(files)
  onTestFinished(remove)
  return folder
}

/** A task's file, by what stands in its definition. */
const task = (id: string, rest = '', shape = '') =>
  `import { defineTask, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
export const task = defineTask({ id: '${id}', payload: tenantPayload({ ${shape} }), ${rest} run: () => z })
`

const shownOf = (module: string) => `import { toTriggerTasks } from '@cgk-platform/jobs/trigger'
import registry from '${module}'
toTriggerTasks(registry)
`
const shown = shownOf('./index.ts')

const names = ['same', 'missing', 'shape', 'limit', 'retry', 'time'] as const

const registry = (imports: readonly string[], from: string) =>
  `${imports.map((name) => `import { task as ${name} } from '${from}/${name}.ts'`).join('\n')}
export default [${imports.join(', ')}]
`

test('the tasks of this repo: every task in both targets, as in the registry', async () => {
  const { code, stdout, stderr } = await check(root, '--json')
  expect(stderr).not.toContain('cgk:')
  expect(JSON.parse(stdout)).toEqual(
    ['dev', 'deploy'].map((target) => ({
      target,
      tasks: expect.any(Number),
      problems: [],
      differences: [],
    })),
  )
  expect(JSON.parse(stdout)[0].tasks).toBeGreaterThan(10)
  expect(code).toBe(0)
})

test('what would ask the network here is refused and noted, in a child without an environment as well', async () => {
  const asking = (host: string) => `fetch('http://${host}/').catch(({ cause }) => console.log(cause.message))`
  const child = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(asking('two.test'))}], { env: {}, stdio: 'inherit' })`
  const { stdout, tried } = await run(root, ['-e', `${asking('192.0.2.1')}; ${child}`])
  expect(stdout.match(/There is no network here/g)).toHaveLength(2)
  expect(tried.sort()).toEqual(['192.0.2.1', 'two.test'])
})

test('defaults that are computed are no difference, and need no environment', async () => {
  const folder = await project({
    'tasks/work/same.ts': task(
      'work/same',
      '',
      `at: z.iso.datetime().default(() => new Date().toISOString()),
       id: z.uuid().prefault(() => crypto.randomUUID()),
       region: z.string().default(() => process.env.REGION_OF_THE_APP!.trim())`,
    ),
    'tasks/index.ts': registry(['same'], './work'),
    'tasks/index.trigger.ts': shown,
  })
  const { code, stdout } = await check(folder, '--target', 'dev')
  expect(stdout).toBe('dev: 1 task, as in the registry\n')
  expect(code).toBe(0)
})

test('no task is no deploy, whether the registry has none or Trigger.dev is shown none', async () => {
  const nothing = { 'tasks/none.ts': 'export default []\n', 'tasks/index.trigger.ts': shownOf('./none.ts') }
  const empty = await project({ ...nothing, 'tasks/index.ts': 'export default []\n' })
  const unshown = await project({
    ...nothing,
    'tasks/work/same.ts': task('work/same'),
    'tasks/index.ts': registry(['same'], './work'),
  })
  for (const folder of [empty, unshown]) {
    const { code, stdout } = await check(folder, '--target', 'deploy')
    expect(stdout).toContain('deploy: no task is found, and Trigger.dev refuses a project without')
    expect(code).toBe(1)
  }
})

describe('what differs is told:', () => {
  test('a task, a schema, a queue, a retry, a duration', async () => {
    const current = {
      same: task('work/same'),
      missing: task('work/missing'),
      shape: task('work/shape', '', 'count: z.number().default(1), kept: z.string()'),
      limit: task('work/limit', 'concurrency: { perTenant: 4 },'),
      retry: task('work/retry', 'retry: { maxAttempts: 5 },'),
      time: task('work/time', "timeout: '2m',"),
    }
    // What Trigger.dev gets is a step behind.
    const older = {
      same: current.same,
      surplus: task('work/surplus'),
      shape: task('work/shape', '', 'amount: z.number(), kept: z.string()'),
      limit: task('work/limit', 'concurrency: { perTenant: 2 },'),
      retry: task('work/retry', "retry: { minDelay: '5s' },"),
      time: task('work/time', "timeout: '1m',"),
    }
    const files = Object.fromEntries([
      ...Object.entries(current).map(([name, text]) => [`tasks/work/${name}.ts`, text]),
      ...Object.entries(older).map(([name, text]) => [`older/${name}.ts`, text]),
    ])
    const folder = await project({
      ...files,
      'tasks/index.ts': registry(names, './work'),
      'older/index.ts': registry(Object.keys(older), '.'),
      'tasks/index.trigger.ts': shownOf('../older/index.ts'),
    })
    const { code, stdout } = await check(folder, '--target', 'dev')
    expect(stdout.trim().split('\n').sort()).toEqual([
      'dev: work/limit: the limit of task/work/limit is 2 for Trigger.dev, and 4 in the registry',
      'dev: work/missing: is in the registry, and Trigger.dev does not find it: pass it to toTriggerTasks',
      'dev: work/retry: retry.maxAttempts is 3 for Trigger.dev, and 5 in the registry',
      'dev: work/retry: retry.minTimeoutInMs is 5000 for Trigger.dev, and 1000 in the registry',
      'dev: work/shape: the schema of its payload is not that of the registry: count, amount',
      'dev: work/surplus: is found by Trigger.dev in tasks/index.trigger.ts, and is not in the registry',
      'dev: work/time: maxDuration is 86465 for Trigger.dev, and 86525 in the registry',
    ])
    expect(code).toBe(1)
    // The bundle is gone.
    expect(readdirSync(join(folder, '.trigger/tmp'))).toEqual([])
  })

  test('a task of Trigger.dev alone, whose id is taken', async () => {
    const folder = await project({
      'tasks/work/same.ts': task('work/same'),
      'tasks/index.ts': registry(['same'], './work'),
      'tasks/index.trigger.ts': shown,
      'tasks/index.own.trigger.ts': `import { task } from '@trigger.dev/sdk'
export const own = task({ id: 'work/same', run: async () => null })
`,
    })
    const { code, stdout } = await check(folder, '--target', 'dev')
    expect(stdout).toMatch(/^dev: two tasks have the id work\/same: .*index\.own\.trigger\.ts/)
    expect(code).toBe(1)
  })

  test('a file that cannot be imported without its environment', async () => {
    const folder = await project({
      'tasks/work/same.ts': task('work/same'),
      'tasks/index.ts': registry(['same'], './work'),
      'tasks/index.trigger.ts': `import { toTriggerTasks } from '@cgk-platform/jobs/trigger'
import registry from './index.ts'
if (!process.env.SECRET_OF_THE_APP) throw new Error('SECRET_OF_THE_APP is not set')
toTriggerTasks(registry)
`,
    })
    const { code, stdout } = await check(folder, '--target', 'deploy')
    expect(stdout).toBe('deploy: tasks/index.trigger.ts cannot be imported: SECRET_OF_THE_APP is not set\n')
    expect(code).toBe(1)
  })

  test('an import that leads nowhere, and a trigger.config.ts that cannot be loaded', async () => {
    const folder = await project({
      'tasks/work/same.ts': task('work/same'),
      'tasks/index.ts': registry(['same'], './work'),
      'tasks/index.trigger.ts': "import './nowhere.ts'\n",
    })
    const broken = await check(folder, '--target', 'dev')
    expect(broken.stdout).toMatch(/^dev: .*index\.trigger\.ts: Could not resolve "\.\/nowhere\.ts"/)
    expect(broken.code).toBe(1)

    const bare = await project({ 'trigger.config.ts': 'throw new Error("not this way")\n' })
    const refused = await check(bare, '--target', 'dev')
    expect(refused.stderr).toContain('not this way')
    expect(refused.stderr).toContain('CONFIG_INVALID')
    expect(refused.code).toBe(1)
    expect(existsSync(join(bare, '.trigger'))).toBe(false)
  })
})
