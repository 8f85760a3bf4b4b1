import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { User } from '../../src/auth/index.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Ended, type Environment, fixtureTasks, startCgk } from './cgk.ts'
import { cgkAtTerminal } from './terminal.ts'

const password = 'a horse on the moon'

let database: TestDatabase
let env: Environment
let said = ''

beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  await cgk(['tenant:create', 'shop'], env)
})
afterAll(async () => {
  expect(said).not.toContain(password)
  await database.drop()
})

async function run(...args: string[]): Promise<Ended> {
  const ended = await cgk(args, env)
  said += ended.stdout + ended.stderr
  return ended
}

/** With a password on stdin. */
async function runTyping(typed: string, ...args: string[]): Promise<Ended> {
  const running = startCgk([...args, '--password-stdin'], env, 'pipe')
  running.child.stdin!.end(`${typed}\n`)
  const ended = await running.ended
  said += ended.stdout + ended.stderr
  return ended
}

test('user:create makes an account from a password on stdin; user:list shows it', async () => {
  const [operator, member] = [
    await runTyping(
      password,
      'user:create',
      'Ops@example.com',
      '--operator',
      '--permission',
      'payload:read',
      '--json',
    ),
    await runTyping(
      password,
      'user:create',
      'maya@example.com',
      '--name',
      'Maya',
      '--tenant',
      'shop',
      '--role',
      'admin',
    ),
  ]
  expect(JSON.parse(operator.stdout)).toEqual({
    id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    email: 'ops@example.com',
    operator: true,
    tenant: null,
  })
  expect(member).toMatchObject({ code: 0, stdout: 'Created user maya@example.com, admin of shop.\n' })
  const [text, ofShop] = await Promise.all([
    run('user:list'),
    cgkJson<User[]>(['user:list', '--tenant', 'shop'], env),
  ])
  expect(text.stdout).toMatch(/maya@example\.com +Maya +active +admin of shop\n/)
  expect(text.stdout).toMatch(/ops@example\.com +active +operator \+payload:read\n/)
  expect(ofShop).toMatchObject([
    { email: 'maya@example.com', memberships: [{ tenantId: 'shop', role: 'admin' }] },
  ])
})

describe('user:create refuses', () => {
  test.each([
    [['nobody'], password, 1, 'ACCOUNT_INVALID'],
    [['a@example.com'], 'short', 1, 'PASSWORD_INVALID'],
    [['a@example.com', '--tenant', 'nowhere'], password, 1, 'TENANT_UNKNOWN'],
    [['a@example.com', '--tenant', 'shop', '--permission', 'tenants:write'], password, 1, 'GRANT_INVALID'],
    [['a@example.com', '--permission', 'payload:read'], password, 1, 'GRANT_INVALID'],
    [['a@example.com', '--tenant', 'shop', '--role', 'boss'], password, 2, 'member, admin, owner'],
    [['a@example.com', '--role', 'owner'], password, 2, 'a --role is one in a --tenant'],
    [['a@example.com', password], password, 2, 'too many arguments'],
    [['a@example.com', '--password', password], password, 2, "unknown option '--password'"],
  ])('%j', async (args, typed, code, message) => {
    const ended = await runTyping(typed, 'user:create', ...args)
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) })
  })

  test('an account that is there, and a password that nobody can type', async () => {
    await runTyping(password, 'user:create', 'twice@example.com')
    const [again, silent] = await Promise.all([
      runTyping(password, 'user:create', 'TWICE@example.com'),
      run('user:create', 'silent@example.com'),
    ])
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('USER_EXISTS') })
    expect(silent).toMatchObject({ code: 2, stderr: expect.stringContaining('--password-stdin') })
  })
})

test('at a terminal the password is asked for twice, and not shown', async () => {
  const create = async (first: string, second: string) => {
    const ended = await cgkAtTerminal(['user:create', 'typed@example.com'], env, [
      ['Password', `${first}\r`],
      ['The same once more', `${second}\r`],
    ])
    said += ended.shown
    return ended
  }
  const different = await create(password, `${password}!`)
  expect(different).toEqual({ code: 2, shown: expect.stringContaining('two different passwords') })
  const same = await create(password, password)
  expect(same).toEqual({ code: 0, shown: expect.stringContaining('Created user typed@example.com.') })
  expect(same.shown).not.toContain(password.slice(0, 7))
})

test('user:password, user:disable and user:enable change an account', async () => {
  await runTyping(password, 'user:create', 'change@example.com')
  const changed = await runTyping(`${password} two`, 'user:password', 'change@example.com')
  expect(changed).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^change@example\.com has another password/),
  })
  const status = async () =>
    (await cgkJson<User[]>(['user:list'], env)).find(({ email }) => email === 'change@example.com')?.status
  expect(await run('user:disable', 'change@example.com')).toMatchObject({
    code: 0,
    stdout: 'change@example.com is disabled. Undo it with: cgk user:enable change@example.com\n',
  })
  expect(await status()).toBe('disabled')
  expect(await cgkJson(['user:enable', 'change@example.com'], env)).toMatchObject({ status: 'active' })
  expect(await status()).toBe('active')
  expect(await run('user:confirm', 'change@example.com')).toMatchObject({
    code: 0,
    stdout: 'change@example.com was confirmed before.\n',
  })
})

test('an account or a tenant that is not there is said so', async () => {
  const refused = [
    await runTyping(password, 'user:password', 'nobody@example.com'),
    await run('user:disable', 'nobody@example.com'),
    await run('user:confirm', 'nobody@example.com'),
    await run('user:enable', 'nobody@example.com'),
  ]
  for (const ended of refused) {
    expect(ended).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('USER_UNKNOWN') })
  }
  expect(await runTyping('short', 'user:password', 'maya@example.com')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('PASSWORD_INVALID'),
  })
  expect(await run('user:list', '--tenant', 'nowhere')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('TENANT_UNKNOWN'),
  })
})
