import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { readTestConfig } from '../../src/config.ts'
import { startEmbeddedPostgres } from '../../src/db/embedded/index.ts'
import { DatabaseSetupError } from '../../src/errors.ts'
import { createTestDatabase } from '../../src/testing/database.ts'

test('the worker inherits the server of the run, and a test database is made on it', async () => {
  const { serverUrl } = readTestConfig()
  expect(serverUrl).toBeDefined()
  const [one, two] = await Promise.all([createTestDatabase(), createTestDatabase()])
  onTestFinished(() => Promise.all([one.drop(), two.drop()]).then(() => {}))

  expect(new URL(one.url).host).toBe(new URL(serverUrl!).host)
  expect(one.name).not.toBe(two.name)
  expect(await query(one.url, 'SELECT current_database() AS name')).toEqual([{ name: one.name }])
  await query(one.url, 'CREATE TABLE t ()')
  await expect(query(two.url, 'SELECT * FROM t')).rejects.toMatchObject({ code: '42P01' })
})

test('a template is copied', async () => {
  const template = await createTestDatabase()
  await query(template.url, 'CREATE TABLE seed AS SELECT 3 AS n')
  const copy = await createTestDatabase({ template: template.name })
  onTestFinished(() => Promise.all([copy.drop(), template.drop()]).then(() => {}))
  expect(await query(copy.url, 'SELECT n FROM seed')).toEqual([{ n: 3 }])
})

test('drop throws out who is still connected', async () => {
  const database = await createTestDatabase()
  const client = new Client({ connectionString: database.url })
  const lost = new Promise<Error>((resolve) => client.on('error', resolve))
  await client.connect()
  await database.drop()
  await database.drop() // harmless
  expect(await lost).toBeInstanceOf(Error)
  await expect(query(database.url, 'SELECT 1')).rejects.toMatchObject({ code: '3D000' })
})

test('a login without CREATEDB gets an error that says so', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'cgk-database-test-'))
  const server = await startEmbeddedPostgres({ dataDir, durable: false })
  onTestFinished(async () => {
    await server.stop()
    await rm(dataDir, { recursive: true })
  })
  const refused = createTestDatabase({ serverUrl: server.url })
  await expect(refused).rejects.toThrow(DatabaseSetupError)
  await expect(refused).rejects.toThrow(/"jobs".*CREATEDB/)
})

test('a server that is not there gets an error that names it, and no password', async () => {
  const refused = createTestDatabase({ serverUrl: 'postgres://jobs:hush@127.0.0.1:1/jobs' })
  await expect(refused).rejects.toThrow(DatabaseSetupError)
  await expect(refused).rejects.toThrow(/127\.0\.0\.1:1 /)
  await expect(refused).rejects.not.toThrow(/hush/)
})

test('without a server it starts one of its own, and removes it with the last database', async () => {
  const { CGK_TEST_SERVER_URL: _, DATABASE_URL: __, ...env } = process.env
  const code = `
    const { createTestDatabase } = await import('${new URL('../../src/testing/database.ts', import.meta.url)}')
    const { Client } = await import('pg')
    const [one, two] = await Promise.all([createTestDatabase(), createTestDatabase()])
    await one.drop()
    const client = new Client({ connectionString: two.url })
    await client.connect()
    const { rows } = await client.query("SELECT pg_tablespace_location(0) AS none, current_setting('fsync') AS fsync")
    await client.end()
    console.log(JSON.stringify({ fsync: rows[0].fsync, one: new URL(one.url).host, two: new URL(two.url).host }))
    const { readdirSync } = await import('node:fs')
    const before = readdirSync(process.env.TMPDIR)
    await two.drop()
    console.log(JSON.stringify({ before: before.length, after: readdirSync(process.env.TMPDIR).length }))`
  const temp = await mkdtemp(join(tmpdir(), 'cgk-database-test-'))
  onTestFinished(() => rm(temp, { recursive: true }))
  const output = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
    encoding: 'utf8',
    cwd: dirname(import.meta.dirname),
    env: { ...env, TMPDIR: temp },
  })
  const [first, second] = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(first.fsync).toBe('off')
  expect(first.one).toBe(first.two)
  expect(second).toEqual({ before: 1, after: 0 })
  expect(existsSync(temp)).toBe(true)
})

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  try {
    await client.connect()
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}
