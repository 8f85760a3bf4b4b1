import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CredentialInfo } from '../../src/credentials/store.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { Turnstile } from '../fixtures/providers/turnstile.ts'
import { cgk, cgkJson, type Ended, type Environment, startCgk } from './cgk.ts'

const canary = `mux-secret-${randomBytes(12).toString('hex')}`
const key = randomBytes(32).toString('base64')
const tasks = fileURLToPath(new URL('tasks/index.ts', import.meta.url))

let database: TestDatabase
let turnstile: Turnstile
let env: Environment
let said = ''

beforeAll(async () => {
  turnstile = await new Turnstile().listen()
  database = await createTestDatabase()
  env = {
    DATABASE_URL: database.url,
    JOBS_TASKS: tasks,
    JOBS_SERVICES: JSON.stringify({ mux: { baseUrl: turnstile.url } }),
    INTEGRATION_ENCRYPTION_KEY: key,
  }
  for (const slug of ['shop', 'other']) await cgk(['tenant:create', slug], env)
})
beforeEach(() => turnstile.accepted.clear())
afterAll(async () => {
  // Whatever was said in this file, no secret was in it.
  expect(said).not.toContain(canary)
  expect(said).not.toContain(key)
  await database.drop()
  await turnstile.close()
})

async function run(...args: string[]): Promise<Ended> {
  const ended = await cgk(args, env)
  said += ended.stdout + ended.stderr
  return ended
}

/** With a value on stdin. */
async function set(args: readonly string[], value: string): Promise<Ended> {
  const running = startCgk(['credential:set', ...args], env, 'pipe')
  running.child.stdin!.end(value)
  const ended = await running.ended
  said += ended.stdout + ended.stderr
  return ended
}

async function setMux(tenant: string, secret: string): Promise<void> {
  await set([tenant, 'mux', 'token_id'], 'the-token-id')
  await set([tenant, 'mux', 'token_secret'], `${secret}\n`)
}

test('credential:key prints a fresh key that can be used', async () => {
  const [one, two] = await Promise.all([cgk(['credential:key'], {}), cgk(['credential:key'], {})])
  expect(one).toMatchObject({ code: 0, stderr: '' })
  expect(Buffer.from(one.stdout.trim(), 'base64')).toHaveLength(32)
  expect(one.stdout).not.toBe(two.stdout)
})

describe('credential:set', () => {
  test('reads the value from stdin; credential:list shows what is there, and no value', async () => {
    const ended = await set(['shop', 'mux', 'token_secret'], `${canary}\n`)
    expect(ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Set mux token_secret of shop\./) })
    const [text, json] = await Promise.all([
      run('credential:list', 'shop'),
      cgkJson<CredentialInfo[]>(['credential:list', 'shop'], env),
    ])
    expect(text.stdout).toMatch(new RegExp(`mux +token_secret +…${canary.slice(-4)} +active`))
    expect(json).toMatchObject([{ service: 'mux', key: 'token_secret', lastFour: canary.slice(-4) }])
    expect(await run('credential:list', 'other')).toMatchObject({ code: 0, stdout: 'No credentials.\n' })
  })

  test('asks at a terminal, and shows nothing of what is typed', async () => {
    // `script` gives the command a terminal.
    const command = `${process.execPath} src/cli/cgk.ts credential:set other mux token_secret`
    const child = spawn('script', ['-qec', command, '/dev/null'], { env: { ...process.env, ...env } })
    let shown = ''
    let typed = false
    child.stdout.on('data', (data) => {
      shown += data
      if (typed || !shown.includes('mux token_secret of other')) return
      typed = true
      setTimeout(() => child.stdin.write(`${canary}\r`), 300)
    })
    const [code] = await once(child, 'close')
    said += shown
    expect({ code, shown }).toEqual({
      code: 0,
      shown: expect.stringContaining('Set mux token_secret of other.'),
    })
    expect(shown).not.toContain(canary.slice(0, 12))
  })

  test('refuses what it cannot use, before it reads a value, and never takes one as an argument', async () => {
    const [service, wrongKey, tenant, empty, argument, keyless] = await Promise.all([
      run('credential:set', 'shop', 'paypal', 'api_key'),
      run('credential:set', 'shop', 'mux', 'api_key'),
      set(['nobody', 'mux', 'token_id'], 'the-token-id'),
      set(['shop', 'mux', 'token_id'], ' \n'),
      run('credential:set', 'shop', 'mux', 'token_id', 'a-value'),
      cgk(['credential:list', 'shop'], { ...env, INTEGRATION_ENCRYPTION_KEY: 'dG9vIHNob3J0' }),
    ])
    expect(service.stderr).toMatch(/"paypal" is no service.*stripe, resend.*\(SERVICE_UNKNOWN\)/)
    expect(wrongKey.stderr).toMatch(/Mux has no credential "api_key".*\(CREDENTIAL_INVALID\)/)
    expect(tenant.stderr).toMatch(/no tenant "nobody".*\(TENANT_UNKNOWN\)/)
    expect(empty.stderr).toMatch(/token_id for Mux is empty.*\(CREDENTIAL_INVALID\)/)
    expect(argument).toMatchObject({ code: 2, stderr: expect.stringContaining('too many arguments') })
    expect(keyless.stderr).toMatch(/INTEGRATION_ENCRYPTION_KEY: key 1 has 9 bytes.*\(CONFIG_INVALID\)/)
    for (const { code } of [service, wrongKey, tenant, empty, keyless]) expect(code).toBe(1)
  })

  test('says which variable is missing where there is no key', async () => {
    const { INTEGRATION_ENCRYPTION_KEY: _, ...without } = env
    const running = startCgk(['credential:set', 'shop', 'mux', 'token_id'], without, 'pipe')
    running.child.stdin!.end('the-token-id')
    expect(await running.ended).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/without INTEGRATION_ENCRYPTION_KEY.*\(ENCRYPTION_KEY_MISSING\)/),
    })
  })
})

test('credential:verify asks the provider; hold:list shows what a refusal holds', async () => {
  await setMux('shop', canary)
  turnstile.accepted.add(canary)
  expect(await run('credential:verify', 'shop', 'mux')).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/shop +mux +valid/),
  })
  turnstile.accepted.clear()
  await setMux('other', canary)
  const [all, neither, both, unknown] = [
    await run('credential:verify', '--all'),
    await run('credential:verify'),
    await run('credential:verify', 'shop', '--all'),
    await run('credential:verify', 'nobody'),
  ]
  expect(all).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/other +mux +refused +unauthorized: .*\nshop +mux +refused/),
  })
  for (const ended of [neither, both]) expect(ended.code).toBe(2)
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining('TENANT_UNKNOWN') })

  const holds = await run('hold:list')
  expect(holds.stdout).toMatch(/tenant +service +why .*\n.*mux +refused .*a new credential +0 +unauthorized/)
  const json = await cgkJson<object[]>(['hold:list', '--tenant', 'shop'], env)
  expect(json).toMatchObject([{ tenantId: 'shop', service: 'mux', reason: 'refused', until: null, runs: 0 }])
  const nobody = await run('hold:list', '--tenant', 'nobody')
  expect(nobody).toMatchObject({ code: 1, stderr: expect.stringContaining('TENANT_UNKNOWN') })
})

test('credential:rotate encrypts with the first key, and says what it could not read', async () => {
  await setMux('shop', canary)
  await setMux('other', canary)
  const fresh = randomBytes(32).toString('base64')
  const rotate = (keys: string) => cgk(['credential:rotate'], { ...env, INTEGRATION_ENCRYPTION_KEY: keys })
  const rotated = await rotate(`${fresh},${key}`)
  said += rotated.stdout + rotated.stderr
  expect(rotated).toMatchObject({
    code: 0,
    stdout: 'other: 2 rotated, 0 current\nshop: 2 rotated, 0 current\n4 credentials rotated, 0 failed.\n',
  })
  expect(await rotate(`${fresh},${key}`)).toMatchObject({
    stdout: expect.stringContaining('0 credentials rotated'),
  })
  const blind = await rotate(key)
  expect(blind).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/shop: .* 2 failed\n.*not among the keys/),
  })
  expect(await rotate(`${key},${fresh}`)).toMatchObject({ code: 0 })
})

test('credential:delete takes one away', async () => {
  await setMux('shop', canary)
  expect(await run('credential:delete', 'shop', 'mux', 'token_id')).toMatchObject({
    code: 0,
    stdout: 'Deleted mux token_id of shop.\n',
  })
  const [again, nonsense] = [
    await run('credential:delete', 'shop', 'mux', 'token_id'),
    await run('credential:delete', 'shop', 'mux', 'nonsense'),
  ]
  expect(again).toMatchObject({ code: 1, stdout: 'shop has no mux token_id.\n' })
  expect(nonsense).toMatchObject({ code: 1, stderr: expect.stringContaining('CREDENTIAL_INVALID') })
  const verify = await run('credential:verify', 'shop')
  expect(verify).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/shop +mux +unknown +SERVICE_NOT_CONFIG/),
  })
})
