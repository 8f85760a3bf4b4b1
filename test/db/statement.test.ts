import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { quoteIdentifier } from '../../src/db/statement.ts'
import { ForbiddenStatementError, InvalidSqlValueError, MissingTenantContextError } from '../../src/errors.ts'
import {
  connectionStates,
  openTenants,
  rejection,
  sqlState,
  statement,
  type Tenants,
  untouched,
} from './tenants.ts'

let tenants: Tenants
let sql: Tenants['database']['sql']

beforeAll(async () => {
  tenants = await openTenants(['a', 'b'], 3)
  sql = tenants.database.sql
})

afterAll(async () => {
  await tenants.close()
})

const inA = <T>(fn: () => T | PromiseLike<T>) => tenants.database.withTenant('a', fn)
const say = (text: string) => statement(tenants.database, text)

describe('sql', () => {
  it('answers rows and how many there are', async () => {
    expect(await sql`SELECT n FROM generate_series(1, 3) AS n`).toEqual({
      rows: [{ n: 1 }, { n: 2 }, { n: 3 }],
      rowCount: 3,
    })
  })

  it('sends values as parameters, whatever is in them', async () => {
    const text = `'; DROP TABLE notes; -- "$1" \\ é 🙂`
    expect((await sql`SELECT ${text}::text AS text, ${null}::text AS nothing`).rows).toEqual([
      { text, nothing: null },
    ])
  })

  it('keeps the kinds of values', async () => {
    const at = new Date('2026-02-28T23:59:59.123Z')
    const { rows } = await sql`SELECT ${at}::timestamptz AS at, ${Buffer.from([0, 255])}::bytea AS bytes,
      ${true}::boolean AS yes, ${9_007_199_254_740_993n}::bigint AS big, ${{ a: [1] }}::jsonb AS json`
    expect(rows).toEqual([
      { at, bytes: Buffer.from([0, 255]), yes: true, big: '9007199254740993', json: { a: [1] } },
    ])
  })

  it('composes: a statement in a statement is one statement with all parameters in order', async () => {
    const big = sql`n > ${2}`
    const numbers = sql`SELECT n FROM generate_series(${1}::int, ${9}) AS n WHERE ${big} AND n < ${5}`
    expect((await sql`SELECT sum(n)::int + ${100}::int AS total FROM (${numbers}) AS numbers`).rows).toEqual([
      { total: 107 },
    ])
  })

  it('takes an array as one parameter', async () => {
    expect(
      (await sql`SELECT 2 = ANY(${[1, 2]}::int[]) AS found, ${['a,b', '"c"', null]}::text[] AS texts`).rows,
    ).toEqual([{ found: true, texts: ['a,b', '"c"', null] }])
  })

  it('runs once, however often it is awaited', async () => {
    const insert = inA(async () => {
      const statement = sql`INSERT INTO notes (tenant) VALUES ('a') RETURNING id`
      return [await statement, await statement, await statement.then((answer) => answer)]
    })
    const [first, second, third] = await insert
    expect(second).toBe(first)
    expect(third).toBe(first)
    expect((await inA(() => sql`SELECT count(*)::int FROM notes`)).rows).toEqual([{ count: 1 }])
  })

  it('does not run until it is awaited', async () => {
    await inA(async () => {
      void sql`SELECT 1 / 0`
      await sql`SELECT 1`
    })
  })

  it('is awaited through catch and finally as well', async () => {
    let ended = 0
    expect(await sql`SELECT 1 / 0`.catch((error) => (error as pg.DatabaseError).code)).toBe('22012')
    await sql`SELECT 1`.finally(() => {
      ended += 1
    })
    expect(ended).toBe(1)
  })

  it('keeps the SQLSTATE of an error, and the place of it', async () => {
    const error = await rejection(sql`SELECT ${1}::int / ${0}::int`)
    expect(error).toBeInstanceOf(pg.DatabaseError)
    expect(error).toMatchObject({ code: '22012', severity: 'ERROR' })
    expect(await sqlState(inA(() => sql`INSERT INTO notes (tenant) VALUES (NULL)`))).toBe('23502')
  })
})

describe('a statement stays one statement', () => {
  it.each(['SELECT 1; SELECT 2', "INSERT INTO notes (tenant) VALUES ('x'); DELETE FROM notes"])(
    'in a tenant, a transaction and outside: %s',
    async (text) => {
      expect(await sqlState(inA(() => say(text)))).toBe('42601')
      expect(await sqlState(inA(() => tenants.database.transaction(() => say(text))))).toBe('42601')
      expect(await sqlState(say(text))).toBe('42601')
    },
  )
})

describe('sql.identifier', () => {
  it('quotes, so that a name cannot become SQL', async () => {
    const name = 'a "b"; DROP TABLE notes'
    expect((await sql`SELECT 1 AS ${sql.identifier(name)}`).rows).toEqual([{ [name]: 1 }])
  })

  it('joins the parts of a qualified name', async () => {
    const { rows } = await sql`SELECT count(*)::int FROM ${sql.identifier('public', 'organizations')}`
    expect(rows).toEqual([{ count: 2 }])
  })

  it.each([
    ['', 'empty'],
    ['x'.repeat(64), 'longer than 63 bytes'],
    ['é'.repeat(32), '64 bytes in 32 letters'],
    ['a\0', 'with a NUL'],
  ])('refuses %j (%s), which Postgres would cut or not take', (name) => {
    expect(() => sql.identifier(name)).toThrow(InvalidSqlValueError)
  })

  it('takes 63 bytes', () => {
    expect(quoteIdentifier('x'.repeat(63))).toHaveLength(65)
  })
})

describe('sql.join and sql.json', () => {
  it('joins values and fragments', async () => {
    const conditions = sql.join([sql`n > ${1}`, sql`n < ${4}`], ' AND ')
    const { rows } = await sql`SELECT array_agg(n) AS n FROM generate_series(1, 9) AS n
      WHERE (${conditions}) OR n IN (${sql.join([7, 8])})`
    expect(rows).toEqual([{ n: [2, 3, 7, 8] }])
  })

  it('refuses to join nothing', () => {
    expect(() => sql.join([])).toThrow(InvalidSqlValueError)
  })

  it('makes JSON of what would travel as something else', async () => {
    const { rows } = await sql`SELECT ${sql.json([1, 'a'])} AS list, ${sql.json('text')} AS text,
      ${sql.json(null)} AS nothing, ${sql.json(undefined)} AS missing`
    expect(rows).toEqual([{ list: [1, 'a'], text: 'text', nothing: null, missing: null }])
  })
})

describe('a value that cannot be a parameter is refused before anything is sent', () => {
  it.each([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
    ['a text with a NUL', 'a\0b'],
    ['an invalid date', new Date('never')],
    ['undefined in an array', [1, undefined]],
    ['a NUL in an array', [['a\0b']]],
  ])('%s', (_, value) => {
    expect(() => sql`SELECT ${value}`).toThrow(InvalidSqlValueError)
    expect(() => sql.join([value])).toThrow(InvalidSqlValueError)
  })

  it('and never says what the value was', () => {
    expect(() => sql`SELECT ${'secret\0'}`).toThrow(expect.not.objectContaining({ message: /secret/ }))
  })

  it('one that fails on its way to the connection leaves nothing of the tenant on it', async () => {
    const circular: Record<string, unknown> = {}
    circular.self = circular
    for (let times = 0; times < 10; times += 1) {
      expect(await rejection(inA(() => sql`SELECT ${circular}::jsonb`))).toBeInstanceOf(TypeError)
    }
    expect(await connectionStates(tenants.database)).toEqual([untouched, untouched, untouched])
  })
})

describe('forbidden statements', () => {
  const forbidden = [
    'BEGIN',
    'START TRANSACTION',
    'COMMIT',
    'END',
    'ROLLBACK',
    'ABORT',
    'SAVEPOINT s',
    'RELEASE s',
    'PREPARE p AS SELECT 1',
    'EXECUTE p',
    'DEALLOCATE ALL',
    'DISCARD ALL',
    'LISTEN c',
    'UNLISTEN *',
    'RESET ROLE',
    'RESET ALL',
    'DECLARE c CURSOR WITH HOLD FOR SELECT 1',
    "LOAD 'x'",
    'SET ROLE tenant_b',
    'SET search_path = tenant_b',
    'SET SESSION ROLE x',
    'SET LOCAL ROLE tenant_b',
    'SET LOCAL search_path TO tenant_b',
    "SET LOCAL SCHEMA 'tenant_b'",
    'SET LOCAL SESSION AUTHORIZATION x',
    'SET statement_timeout = 0',
    'SET LOCAL "role" = x',
    'SET TRANSACTION READ ONLY',
    'DO $$ BEGIN RESET ROLE; END $$',
    'COPY notes FROM STDIN',
    'COPY notes TO STDOUT',
    "SELECT set_config('role', 'none', true)",
    "SELECT pg_catalog.set_config ('role', 'none', false)",
    `SELECT "set_config"('role', 'none', true)`,
    "SELECT set_config/**/('role', 'none', true)",
    "(SELECT set_config('role', 'none', true))",
    `SELECT U&"set\\005fconfig"('role', 'none', true)`,
    'SELECT pg_advisory_lock(1)',
    'SELECT pg_try_advisory_lock(1)',
    'SELECT pg_advisory_lock_shared(1)',
    'CREATE TEMP TABLE t (id int)',
    'CREATE LOCAL TEMPORARY TABLE t (id int)',
    'CREATE TABLE pg_temp.t (id int)',
    'CREATE TEMP SEQUENCE s',
    'SELECT 1 INTO TEMP t',
    'SELECT 1 AS one INTO TEMPORARY TABLE t',
  ]
  it.each(forbidden)('%s', async (text) => {
    expect(await rejection(inA(() => say(text)))).toBeInstanceOf(ForbiddenStatementError)
    expect(await rejection(inA(() => tenants.database.transaction(() => say(text))))).toBeInstanceOf(
      ForbiddenStatementError,
    )
    expect(await rejection(say(text))).toBeInstanceOf(ForbiddenStatementError)
  })

  it.each([
    'commit',
    '  \n\tCoMmIt',
    '-- why\nCOMMIT',
    '/* a */ /* b */COMMIT',
    '/* a /* nested */ b */ COMMIT',
    ';COMMIT',
    '; -- x\n /* y */; COMMIT',
  ])('are found behind blanks, comments and cases: %j', async (text) => {
    const error = await rejection(inA(() => tenants.database.transaction(() => say(text))))
    expect(error).toBeInstanceOf(ForbiddenStatementError)
    expect(error).toMatchObject({ code: 'STATEMENT_FORBIDDEN', message: expect.stringMatching(/^COMMIT is/) })
  })

  it.each([
    "SELECT 'COMMIT; SET ROLE x' AS text",
    'SELECT 1 AS "commit"',
    'SELECT 1 AS reset_count',
    'UPDATE notes SET body = body',
    '/* COMMIT */ SELECT 1',
    'SET CONSTRAINTS ALL IMMEDIATE',
    "SET LOCAL statement_timeout = '1min'",
    'SELECT pg_advisory_xact_lock(1)',
    'CREATE TEMP TABLE t (id int) ON COMMIT DROP',
    'WITH temp AS (SELECT 1) SELECT * FROM temp',
    'EXPLAIN SELECT 1',
  ])('do not include %s', async (text) => {
    await inA(() => tenants.database.transaction(() => say(text)))
    await inA(() => say(text))
  })

  it('leave nothing on any connection', async () => {
    expect(await connectionStates(tenants.database)).toEqual([untouched, untouched, untouched])
  })
})

describe('outside every tenant', () => {
  it.each([
    'SELECT * FROM notes',
    'SELECT * FROM "notes"',
    'INSERT INTO notes (tenant) VALUES (1)',
    "SELECT '🙂' FROM notes AS n",
  ])('a table of tenants is an error that says what is missing: %s', async (text) => {
    for (const outside of [() => say(text), () => tenants.database.transaction(() => say(text))]) {
      const error = await rejection(outside())
      expect(error).toBeInstanceOf(MissingTenantContextError)
      expect(error).toMatchObject({ cause: { code: '42P01' }, message: expect.stringContaining('notes') })
    }
  })

  it('a qualified table that is missing is what Postgres says it is', async () => {
    expect(await sqlState(sql`SELECT * FROM public.nothing`)).toBe('42P01')
    expect(await sqlState(sql`SELECT * FROM "public" . "nothing"`)).toBe('42P01')
  })

  it('platform tables are reached by their qualified name', async () => {
    const { rows } = await sql`SELECT slug FROM public.organizations ORDER BY slug`
    expect(rows).toEqual([{ slug: 'a' }, { slug: 'b' }])
  })
})

/** What sendScoped must have in common with node-postgres, whose Query it extends. */
describe('a statement in a tenant, held against node-postgres itself', () => {
  const cases = [
    "INSERT INTO tenant_a.notes (tenant, body) VALUES ('a', 'x'), ('a', 'y') RETURNING tenant, body",
    'SELECT tenant, body FROM tenant_a.notes ORDER BY id',
    'SELECT tenant FROM tenant_a.notes WHERE false',
    "UPDATE tenant_a.notes SET body = 'z' WHERE body = 'nobody'",
    "UPDATE tenant_a.notes SET body = 'z'",
    'DELETE FROM tenant_a.notes WHERE body IS NULL',
    'SELECT 1 AS same, 2 AS same',
    'VALUES (1), (2)',
    '',
    '-- only a comment',
    'EXPLAIN (COSTS OFF) SELECT 1',
    'SELECT',
  ]
  it.each(cases)('%j', async (text) => {
    const ours = await inA(() => say(text))
    const { rows, rowCount } = await tenants.database.pool.query({ text, values: [] })
    expect(ours).toEqual({ rows, rowCount: rowCount ?? 0 })
  })

  it('fails with the error of the statement, and with that of the entering', async () => {
    expect(await sqlState(inA(() => say('SELECT 1 / 0')))).toBe('22012')
    expect(await sqlState(inA(() => say('SELEKT')))).toBe('42601')
    expect(await sqlState(inA(() => say('SELECT $1')))).toMatch(/^(08P01|42P18|42P02)$/)
  })

  it('many on one connection at once are answered each by its own', async () => {
    const { directory, database } = tenants
    const identities = [await directory.admit('a'), await directory.admit('b')]
    const { sendAsTenant, send } = await import('../../src/db/connection.ts')
    const client = await database.pool.connect()
    const answers = await Promise.allSettled(
      Array.from({ length: 300 }, async (_, index) => {
        const text = 'SELECT $1::int AS index, current_user::text AS role, current_schema()::text AS schema'
        if (index % 7 === 3)
          return await sendAsTenant(client, identities[0]!, { text: 'SELECT 1 / 0', values: [] })
        if (index % 7 === 5) return await send(client, { text, values: [index] })
        return await sendAsTenant(client, identities[index % 2]!, { text, values: [index] })
      }),
    )
    client.release()
    const login = new URL(tenants.url).username
    for (const [index, answer] of answers.entries()) {
      const { role, schema } = identities[index % 2]!
      if (index % 7 === 3) expect(answer).toMatchObject({ status: 'rejected', reason: { code: '22012' } })
      else if (index % 7 === 5)
        expect(answer).toMatchObject({ value: { rows: [{ index, role: login, schema: 'public' }] } })
      else expect(answer).toMatchObject({ value: { rows: [{ index, role, schema }] } })
    }
  })

  it('takes LOCK TABLE alone, where it holds for that statement only', async () => {
    expect(await inA(() => sql`LOCK TABLE notes IN ACCESS EXCLUSIVE MODE`)).toEqual({ rows: [], rowCount: 0 })
    expect((await inA(() => sql`SELECT count(*)::int AS n FROM notes`)).rowCount).toBe(1)
  })

  it('refuses what cannot be in a transaction (VACUUM: 25001)', async () => {
    expect(await sqlState(inA(() => sql`VACUUM notes`))).toBe('25001')
  })
})
