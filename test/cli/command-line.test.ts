/** What all commands share: help, exit codes, an unusable database, what an old Node is told. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { readable } from '../../src/cli/logger.ts'
import { type Column, formatTable } from '../../src/cli/table.ts'
import { cgk, startCgk } from './cgk.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const nowhere = { DATABASE_URL: 'postgres://jobs:hush@127.0.0.1:1/jobs' }

test('help answers without a database; a mistyped command is told so', async () => {
  const [help, one, unknown, option] = await Promise.all([
    cgk(['--help'], nowhere),
    cgk(['migrate', '--help'], nowhere),
    cgk(['tenants:list'], nowhere),
    cgk(['run:list', '--sate', 'failed'], nowhere),
  ])
  expect(help).toMatchObject({ code: 0, stderr: '' })
  for (const name of ['dev', 'worker', 'trigger', 'run:list', 'tenant:delete', 'migrate:status']) {
    expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'))
  }
  expect(one).toMatchObject({ code: 0, stdout: expect.stringContaining('--public-only') })
  expect(unknown).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('Did you mean tenant:list?'),
  })
  expect(option).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('Did you mean --state?'),
  })
})

test('--version is the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  expect(await cgk(['--version'], nowhere)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
})

test('the inline engine lives in one process, so a command that needs another one is refused', async () => {
  const commands = [
    ['trigger', 'orders/process-order', '--payload', '{}'],
    ['worker'],
    ['run:list'],
    ['run:show', 'some'],
    ['run:cancel', 'some'],
    ['run:replay', 'some'],
    ['replay:confirm', 'some', '--reason', 'some'],
    ['replay:list'],
    ['replay:show', 'some'],
    ['replay:stop', 'some'],
  ]
  const env = { ...nowhere, JOBS_ENGINE: 'inline' }
  for (const ended of await Promise.all(commands.map((command) => cgk(command, env)))) {
    expect(ended).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^cgk: JOBS_ENGINE=inline .*one process.*\(CONFIG_INVALID\)\n$/),
    })
  }
})

test('a database that cannot be reached is one sentence, without its password', async () => {
  const all = await Promise.all([
    cgk(['tenant:list', '--json'], nowhere),
    cgk(['migrate:status'], nowhere),
    cgk(['worker'], nowhere),
  ])
  for (const { code, stdout, stderr } of all) {
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^cgk: The database cannot be used: connect ECONNREFUSED 127\.0\.0\.1:1\..*\(ECONNREFUSED\)\n$/,
    )
  }
  const mistyped = await cgk(['run:list'], { DATABASE_URL: 'mysql://jobs:hush@127.0.0.1/jobs' })
  expect(mistyped).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^cgk: .*DATABASE_URL.*\(CONFIG_INVALID\)\n$/),
  })
  expect(mistyped.stderr).not.toContain('hush')
})

test('a reader that goes away is no failure', async () => {
  const help = startCgk(['--help'], nowhere)
  help.child.stdout!.destroy()
  expect(await help.ended).toMatchObject({ code: 0, stderr: '' })
})

test('an old Node is told what to do, before anything it cannot read is loaded', async () => {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`
  const args = [
    '--import',
    `data:text/javascript,${encodeURIComponent(pretend)}`,
    'src/cli/cgk.ts',
    'tenant:list',
  ]
  const refused = promisify(execFile)(process.execPath, args, { cwd: root })
  await expect(refused).rejects.toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringMatching(/^cgk needs Node 22\.12 .*npx cgk/),
  })
})

test('npx cgk works in the repo, with the Node of node_modules', async () => {
  const { stdout } = await promisify(execFile)('npx', ['--offline', 'cgk', '--help'], {
    cwd: root,
    timeout: 20_000,
  })
  expect(stdout).toContain('Usage: cgk')
})

test('a table fits the terminal: what may be cut is cut, ids never are, and nothing drives the terminal', () => {
  const rows = [{ id: 'a'.repeat(20), text: `${'word '.repeat(10)}\u001b[31mred\nnext line` }]
  const columns: Column<{ id: string; text: string }>[] = [
    { title: 'id', value: ({ id }) => id },
    { title: 'text', value: ({ text }) => text, mayCut: true },
  ]
  const [head, line] = formatTable(rows, columns, 40).split('\n')
  expect(head).toBe(`id${' '.repeat(20)}text`)
  expect(line).toBe(`${'a'.repeat(20)}  word word word wo…`)
  expect(formatTable(rows, columns, 10).split('\n')[1]).toBe(`${'a'.repeat(20)}  word wo…`)
  expect(formatTable(rows, columns, 500).split('\n')[1]).toMatch(/word red next line$/)
})

test('a table leaves out what may go where cutting is not enough, the last of it first', () => {
  const columns: Column<string>[] = ['id', 'one', 'two', 'end'].map((title) => ({
    title,
    value: (letter) => letter.repeat(10),
    ...(title === 'one' || title === 'two' ? { mayGo: true } : {}),
  }))
  const titles = (width: number) => formatTable(['x'], columns, width).split('\n')[0]!.split(/ +/)
  expect(titles(46)).toEqual(['id', 'one', 'two', 'end'])
  expect(titles(45)).toEqual(['id', 'one', 'end'])
  expect(titles(33)).toEqual(['id', 'end'])
  expect(titles(5)).toEqual(['id', 'end'])
})

test('at a terminal a log line is for people', () => {
  const line = readable({
    level: 40,
    time: 0,
    msg: 'Slow',
    tenant: 'acme',
    ms: 5,
    err: { stack: 'Error: x\n    at y' },
  })
  expect(line).toMatch(/^\d\d:\d\d:\d\d warn {2}Slow {2}tenant=acme {2}ms=5\nError: x\n {4}at y$/)
})
