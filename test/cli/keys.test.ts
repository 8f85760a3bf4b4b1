import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ApiKeyInfo } from '../../src/auth/index.ts'
import { createTestDatabase, type TestDatabase } from '../../src/testing/database.ts'
import { cgk, cgkJson, type Ended, type Environment, fixtureTasks } from './cgk.ts'

let database: TestDatabase
let env: Environment

beforeAll(async () => {
  database = await createTestDatabase()
  env = { DATABASE_URL: database.url, JOBS_TASKS: fixtureTasks }
  for (const slug of ['shop', 'other']) await cgk(['tenant:create', slug], env)
})
afterAll(() => database.drop())

const run = async (...args: string[]): Promise<Ended> => await cgk(args, env)

test('key:create prints a key once, key:list its beginning, and key:revoke ends it', async () => {
  const created = await run('key:create', 'deploy', '--tenant', 'shop', '--scope', 'runs:read,runs:trigger')
  const key = created.stdout.trim()
  expect(created.code).toBe(0)
  expect(key).toMatch(/^cgk_live_[0-9a-f]{72}$/)
  expect(created.stderr).toMatch(
    /not shown again\. It does not expire\. Revoke it with: cgk key:revoke cgk_live_/,
  )
  expect(created.stderr).not.toContain(key)

  const prefix = key.slice(0, 17)
  const listed = await run('key:list', '--tenant', 'shop')
  expect(listed.stdout).toMatch(new RegExp(`${prefix}… +deploy +shop +runs:read runs:trigger +always\n`))
  expect(listed.stdout).not.toContain(key)
  expect(await run('key:list', '--tenant', 'other')).toMatchObject({ code: 0, stdout: 'No keys.\n' })

  expect(await run('key:revoke', `${prefix}…`)).toMatchObject({ code: 0, stdout: `Revoked ${prefix}….\n` })
  expect(await cgkJson(['key:revoke', prefix], env)).toEqual({ key: prefix, revoked: false })
  expect((await run('key:list')).stdout).toMatch(/revoked \d{4}-/)
})

test('a key of the platform has to be asked for, and may expire', async () => {
  const key = await cgkJson<ApiKeyInfo & { key: string }>(
    ['key:create', 'metrics', '--platform', '--scope', 'metrics:read', '--expires', '90d'],
    env,
  )
  expect(key).toMatchObject({ tenantId: null, scopes: ['metrics:read'], prefix: key.key.slice(0, 17) })
  const life = new Date(key.expiresAt!).getTime() - new Date(key.createdAt).getTime()
  expect(life).toBe(90 * 86_400_000)
  const { key: _, ...shown } = key
  expect(await cgkJson<ApiKeyInfo[]>(['key:list'], env)).toContainEqual(shown)
})

const scope = ['--scope', 'runs:read']

test.each([
  [['key:create', 'x', ...scope], 2, 'either --tenant or --platform'],
  [['key:create', 'x', ...scope, '--tenant', 'shop', '--platform'], 2, 'either --tenant or --platform'],
  [['key:create', 'x', '--tenant', 'shop'], 2, '--scope'],
  [['key:create', 'x', '--tenant', 'shop', '--scope', 'everything'], 1, 'GRANT_INVALID'],
  [['key:create', 'x', '--tenant', 'shop', '--scope', 'metrics:read'], 1, 'GRANT_INVALID'],
  [['key:create', 'x', '--tenant', 'shop', ...scope, '--expires', 'soon'], 1, 'GRANT_INVALID'],
  [['key:create', ' ', '--tenant', 'shop', ...scope], 1, 'ACCOUNT_INVALID'],
  [['key:create', 'x', '--tenant', 'nowhere', ...scope], 1, 'TENANT_UNKNOWN'],
  [['key:revoke', 'cgk_live_00000000'], 1, 'API_KEY_UNKNOWN'],
  [['key:list', '--tenant', 'nowhere'], 1, 'TENANT_UNKNOWN'],
])('%j is refused', async (args, code, message) => {
  expect(await run(...args)).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(message) })
})
