/**
 * The platform with a login that is no superuser and owns nothing, on the oldest Postgres and on the newest. These are
 * the rights the README names; each is needed, and without it an error says which.
 */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTestConfig } from '../../src/config.ts'
import { DatabaseSetupError } from '../../src/errors.ts'
import { close, createTenant } from '../../src/index.ts'
import { createTestDatabase } from '../../src/testing/database.ts'
import { rejection } from '../db/tenants.ts'
import { hasPostgres15, startPostgres15 } from '../fixtures/postgres-15.ts'
import { configureStory, liveThroughEverything } from './story.ts'

interface Rights {
  login: string
  onDatabase: string
  onPublic: string
}

const enough: Rights = { login: 'CREATEROLE', onDatabase: 'CONNECT, CREATE', onPublic: 'CREATE' }

/** A login with these rights on a database of somebody else, where nothing is left to everybody. */
async function withLogin(
  serverUrl: string,
  rights: Rights,
  work: (url: string) => Promise<void>,
): Promise<void> {
  const database = await createTestDatabase({ serverUrl })
  const login = `least_${randomBytes(6).toString('hex')}`
  const owner = new pg.Client({ connectionString: database.url })
  await owner.connect()
  try {
    await owner.query(`CREATE ROLE ${login} LOGIN ${rights.login} PASSWORD 'least'`)
    await owner.query(
      `REVOKE ALL ON DATABASE ${database.name} FROM PUBLIC; REVOKE CREATE ON SCHEMA public FROM PUBLIC`,
    )
    await owner.query(`GRANT ${rights.onDatabase} ON DATABASE ${database.name} TO ${login}`)
    if (rights.onPublic) await owner.query(`GRANT ${rights.onPublic} ON SCHEMA public TO ${login}`)
    await work(Object.assign(new URL(database.url), { username: login, password: 'least' }).href)
  } finally {
    await owner.end()
    await database.drop()
    await onServer(serverUrl, `DROP ROLE ${login}`)
  }
}

async function onServer(serverUrl: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  await client.query(text).finally(() => client.end())
}

const embedded = async () => ({ adminUrl: readTestConfig().serverUrl!, stop: async () => {} })

describe.skipIf(!hasPostgres15)('Postgres 15', () => rightsOn(15, startPostgres15))
describe('the Postgres of this test run', () => rightsOn(null, embedded))

function rightsOn(major: number | null, start: () => Promise<{ adminUrl: string; stop(): Promise<void> }>) {
  let server: Awaited<ReturnType<typeof start>>

  beforeAll(async () => {
    server = await start()
  })

  afterAll(async () => {
    await server?.stop()
  })

  it(major ? 'is really that version' : 'is at least Postgres 15', async () => {
    const client = new pg.Client({ connectionString: server.adminUrl })
    await client.connect()
    const { rows } = await client.query("SELECT current_setting('server_version_num')::int / 10000 AS major")
    await client.end()
    if (major) expect(rows[0].major).toBe(major)
    else expect(rows[0].major).toBeGreaterThanOrEqual(15)
  })

  it('does everything with CREATEROLE, CONNECT and CREATE on the database, and CREATE on schema public', async () => {
    await withLogin(server.adminUrl, enough, (databaseUrl) => liveThroughEverything({ databaseUrl }))
  })

  it('does everything with a login that does not inherit', async () => {
    const rights = { ...enough, login: 'CREATEROLE NOINHERIT' }
    await withLogin(server.adminUrl, rights, (databaseUrl) => liveThroughEverything({ databaseUrl }))
  })

  it.each([
    ['CREATEROLE', { ...enough, login: '' }, /CREATEROLE/],
    ['CREATE on the database', { ...enough, onDatabase: 'CONNECT' }, /GRANT CREATE ON DATABASE/],
    ['CREATE on schema public', { ...enough, onPublic: '' }, /GRANT CREATE ON SCHEMA public/],
  ])('says so when %s is missing', async (_, rights, advice) => {
    await withLogin(server.adminUrl, rights, async (databaseUrl) => {
      configureStory({ databaseUrl })
      const error = await rejection(createTenant('never'))
      await close()
      expect(error).toBeInstanceOf(DatabaseSetupError)
      expect((error as Error).message).toMatch(advice)
    })
  })
}
