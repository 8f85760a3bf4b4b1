import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { currentScope } from '../../src/db/scope.ts'
import type { Transaction } from '../../src/db/transaction.ts'
import { ContextEndedError, TransactionRolledBackError, UnknownTenantError } from '../../src/errors.ts'
import { deleteTenant } from '../../src/tenants/delete.ts'
import {
  connectionStates,
  createTenants,
  openTenants,
  rejection,
  sqlState,
  type Tenants,
  untouched,
} from './tenants.ts'

let tenants: Tenants
let database: Tenants['database']
let sql: Tenants['database']['sql']

beforeAll(async () => {
  tenants = await openTenants(['a', 'b'], 3)
  database = tenants.database
  sql = database.sql
})

afterEach(async () => {
  expect(await connectionStates(database)).toEqual([untouched, untouched, untouched])
  await inA(() => sql`DELETE FROM notes`)
})

afterAll(async () => {
  await tenants.close()
})

const inA = <T>(fn: () => T | PromiseLike<T>) => database.withTenant('a', fn)
const inTransaction = <T>(fn: () => T | PromiseLike<T>) => inA(() => database.transaction(fn))
const write = (body: string) => sql`INSERT INTO notes (tenant, body) VALUES ('a', ${body})`
const bodies = async () => {
  const { rows } = await inA(() => sql<{ body: string }>`SELECT body FROM notes ORDER BY id`)
  return rows.map(({ body }) => body)
}
const fail = () => sql`SELECT 1 / 0`

/** A promise to be resolved by hand, to stop a piece of code where the test wants it. */
const gate = () => Promise.withResolvers<void>()

describe('a transaction', () => {
  it('answers what its callback answers, and commits', async () => {
    expect(await inTransaction(() => write('kept').then(() => 'answer'))).toBe('answer')
    expect(await bodies()).toEqual(['kept'])
  })

  it('is one transaction on one connection', async () => {
    const who = () =>
      sql<{ pid: number; xid: string }>`SELECT pg_backend_pid() AS pid, pg_current_xact_id()::text AS xid`
    const [first, second] = await inTransaction(async () => [await who(), await who()])
    expect(second).toEqual(first)
  })

  it('keeps nothing when its callback throws, and throws the same error', async () => {
    const error = new Error('no')
    expect(
      await rejection(
        inTransaction(async () => {
          await write('lost')
          throw error
        }),
      ),
    ).toBe(error)
    expect(
      await rejection(
        inTransaction(() => {
          throw error
        }),
      ),
    ).toBe(error)
    expect(await bodies()).toEqual([])
  })

  it('keeps nothing when a statement fails, and keeps its SQLSTATE', async () => {
    expect(await sqlState(inTransaction(() => write('lost').then(fail)))).toBe('22012')
    expect(await bodies()).toEqual([])
  })

  it('is not silently lost when the error of a statement is swallowed', async () => {
    const error = await rejection(
      inTransaction(async () => {
        await write('lost')
        await fail().catch(() => {})
        return 'done'
      }),
    )
    expect(error).toBeInstanceOf(TransactionRolledBackError)
    expect(error).toMatchObject({ code: 'TRANSACTION_ROLLED_BACK', cause: { code: '22012' } })
    expect(await bodies()).toEqual([])
  })

  it('fails with what COMMIT finds: a deferred constraint', async () => {
    expect(await sqlState(inTransaction(() => sql`INSERT INTO links VALUES (1, 2)`))).toBe('23503')
    await inTransaction(async () => {
      await sql`INSERT INTO links VALUES (1, 2)`
      await sql`INSERT INTO links VALUES (2, 1)`
    })
    expect((await inA(() => sql`SELECT id FROM links`)).rowCount).toBe(2)
  })

  it('of nothing costs nothing', async () => {
    expect(await inTransaction(() => 'nothing')).toBe('nothing')
  })

  it('includes a statement that was started and not awaited', async () => {
    await inTransaction(() => {
      void write('started').then()
    })
    expect(await bodies()).toEqual(['started'])
  })

  it("outside every tenant is the platform's own", async () => {
    await database.transaction(() => sql`UPDATE public.organizations SET name = 'A' WHERE slug = 'a'`)
    expect((await sql`SELECT name FROM public.organizations WHERE slug = 'a'`).rows).toEqual([{ name: 'A' }])
  })

  it('of a tenant that was deleted while its name was still known: UnknownTenantError', async () => {
    await createTenants(tenants, ['gone'])
    await database.withTenant('gone', () => sql`SELECT 1`)
    const known = await tenants.directory.admit('gone')
    await deleteTenant(tenants, 'gone')
    const { Transaction } = await import('../../src/db/transaction.ts')
    const error = await rejection(Transaction.run(await database.pool.connect(), known, null, async () => {}))
    expect(error).toBeInstanceOf(UnknownTenantError)
    expect(error).toMatchObject({ tenantId: 'gone' })
  })

  it('fails, and frees its place in the pool, when its connection breaks', async () => {
    const error = await rejection(
      inTransaction(async () => {
        const { rows } = await sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`
        await database.query('SELECT pg_terminate_backend($1)', [rows[0]!.pid])
        await sleep(50)
        await write('lost')
      }),
    )
    expect(error).toBeInstanceOf(Error)
    expect(await bodies()).toEqual([])
  })
})

describe('after the callback has ended', () => {
  it('a statement that starts late is refused, whoever has the connection by then', async () => {
    const open = gate()
    let late: Promise<unknown> = Promise.resolve()
    await inTransaction(() => {
      late = open.promise.then(() => write('late'))
    })
    open.resolve()
    expect(await rejection(late)).toBeInstanceOf(ContextEndedError)
    expect(await bodies()).toEqual([])
  })

  it('a transaction that starts late is refused', async () => {
    const open = gate()
    let late: Promise<unknown> = Promise.resolve()
    await inTransaction(() => {
      late = open.promise.then(() => database.transaction(() => write('late')))
    })
    open.resolve()
    expect(await rejection(late)).toBeInstanceOf(ContextEndedError)
  })

  it('a nested transaction that was not awaited is part of it all the same, whole', async () => {
    let nested: Promise<unknown> = Promise.resolve()
    await inTransaction(() => {
      nested = database.transaction(async () => {
        await write('first')
        await sleep(30)
        await write('second')
      })
    })
    await nested
    expect(await bodies()).toEqual(['first', 'second'])
  })

  it('a nested transaction that goes on after the outer one failed is refused, and touches no other tenant', async () => {
    const open = gate()
    let nested: Promise<unknown> = Promise.resolve()
    await rejection(
      inTransaction(async () => {
        nested = database.transaction(async () => {
          await write('lost')
          await open.promise
          await write('late')
        })
        nested.catch(() => {})
        await sleep(20)
        throw new Error('the outer one fails')
      }),
    )
    // The connection is at work for another tenant when the late statement comes.
    await database.withTenant('b', () =>
      database.transaction(async () => {
        await sql`INSERT INTO notes (tenant) VALUES ('b')`
        open.resolve()
        expect(await rejection(nested)).toBeInstanceOf(ContextEndedError)
      }),
    )
    expect(await bodies()).toEqual([])
    const { rows } = await database.withTenant('b', () => sql`DELETE FROM notes RETURNING tenant, body`)
    expect(rows).toEqual([{ tenant: 'b', body: '' }])
  })

  it('a withTenant inside it that goes on is refused as well', async () => {
    const open = gate()
    let joined: Promise<unknown> = Promise.resolve()
    await inTransaction(() => {
      joined = inA(async () => {
        await open.promise
        await write('late')
      })
    })
    open.resolve()
    expect(await rejection(joined)).toBeInstanceOf(ContextEndedError)
    expect(await bodies()).toEqual([])
  })
})

describe('a nested transaction', () => {
  it('is kept with the outer one', async () => {
    const answer = await inTransaction(async () => {
      await write('outer')
      return await database.transaction(() => write('inner').then(() => 'inner'))
    })
    expect(answer).toBe('inner')
    expect(await bodies()).toEqual(['outer', 'inner'])
  })

  it('is undone alone when it fails and the outer one goes on', async () => {
    await inTransaction(async () => {
      await write('before')
      expect(await sqlState(database.transaction(() => write('lost').then(fail)))).toBe('22012')
      expect(
        await rejection(
          database.transaction(async () => {
            await write('lost')
            throw new Error('no')
          }),
        ),
      ).toMatchObject({ message: 'no' })
      await write('after')
    })
    expect(await bodies()).toEqual(['before', 'after'])
  })

  it('is undone with the outer one', async () => {
    await rejection(
      inTransaction(async () => {
        await database.transaction(() => write('lost'))
        throw new Error('no')
      }),
    )
    expect(await bodies()).toEqual([])
  })

  it('that swallowed an error is not kept, and says why', async () => {
    await inTransaction(async () => {
      const error = await rejection(database.transaction(() => fail().catch(() => {})))
      expect(error).toBeInstanceOf(TransactionRolledBackError)
      expect(error).toMatchObject({ cause: { code: '22012' } })
      await write('kept')
    })
    expect(await bodies()).toEqual(['kept'])
  })

  it('may be nested again, and each level is undone alone', async () => {
    await inTransaction(async () => {
      await write('1')
      await database.transaction(async () => {
        await write('2')
        await rejection(database.transaction(() => write('lost').then(fail)))
        await database.transaction(() => write('3'))
      })
      await rejection(
        database.transaction(async () => {
          await database.transaction(() => write('released, and lost with its outer one'))
          await fail()
        }),
      )
      await write('4')
    })
    expect(await bodies()).toEqual(['1', '2', '3', '4'])
  })

  it('makes the statements of the outer one wait: they do not vanish with its savepoint', async () => {
    await inTransaction(async () => {
      const open = gate()
      const nested = database.transaction(async () => {
        await write('lost')
        await open.promise
        throw new Error('no')
      })
      await sleep(10)
      const outer = write('outer').then()
      open.resolve()
      await rejection(nested)
      await outer
    })
    expect(await bodies()).toEqual(['outer'])
  })

  it('waits for another that is open: parallel ones are kept and undone each alone', async () => {
    const outcomes = await inTransaction(() =>
      Promise.allSettled(
        [1, 2, 3, 4, 5, 6].map((n) =>
          database.transaction(async () => {
            await write(`${n}`)
            await sleep(n % 3)
            if (n % 2 === 0) await fail()
            await database.transaction(() => write(`${n} inner`))
          }),
        ),
      ),
    )
    expect(outcomes.map(({ status }) => status)).toEqual(
      [1, 2, 3, 4, 5, 6].map((n) => (n % 2 === 0 ? 'rejected' : 'fulfilled')),
    )
    expect(await bodies()).toEqual(['1', '1 inner', '3', '3 inner', '5', '5 inner'])
  })

  it('stays in its tenant, and so does what comes after it', async () => {
    const where = () => sql`SELECT current_user::text AS role, current_schema()::text AS schema`
    const [before, inner, after] = await inTransaction(async () => {
      const first = await where()
      const second = await database.transaction(where)
      await rejection(database.transaction(fail))
      return [first, second, await where()]
    })
    expect(inner).toEqual(before)
    expect(after).toEqual(before)
    expect(before.rows).toMatchObject([{ schema: 'tenant_a' }])
  })
})

describe('parallel statements in one transaction', () => {
  it('all run, in the order in which they were started', async () => {
    await inTransaction(() => Promise.all(Array.from({ length: 50 }, (_, n) => write(`${n}`))))
    expect(await bodies()).toEqual(Array.from({ length: 50 }, (_, n) => `${n}`))
  })
})

describe('executeAsPlatform', () => {
  const transaction = (): Transaction => currentScope()!.transaction!

  it('reaches platform tables, and the tenant is back right after, also for statements sent along', async () => {
    await inTransaction(async () => {
      const role = () => sql`SELECT current_user::text AS role, current_setting('search_path') AS path`
      const before = await role()
      const [organizations, beside] = await Promise.all([
        transaction().executeAsPlatform('SELECT slug FROM public.organizations WHERE slug = $1', ['b']),
        role(),
      ])
      expect(organizations).toEqual({ rows: [{ slug: 'b' }], rowCount: 1 })
      expect(beside).toEqual(before)
      expect(await role()).toEqual(before)
      expect(await sqlState(database.transaction(() => sql`SELECT * FROM public.organizations`))).toBe(
        '42501',
      )
    })
  })

  it("commits with the tenant's rows or not at all", async () => {
    const rename = () =>
      transaction().executeAsPlatform("UPDATE public.organizations SET name = 'renamed' WHERE slug = 'b'")
    await rejection(inTransaction(() => rename().then(fail)))
    expect((await sql`SELECT name FROM public.organizations WHERE slug = 'b'`).rows).toEqual([{ name: 'b' }])
    await inTransaction(() => rename().then(() => write('with it')))
    expect((await sql`SELECT name FROM public.organizations WHERE slug = 'b'`).rows).toEqual([
      { name: 'renamed' },
    ])
    expect(await bodies()).toEqual(['with it'])
  })

  it('that fails in a nested transaction leaves the tenant in the outer one', async () => {
    await inTransaction(async () => {
      expect(
        await sqlState(database.transaction(() => transaction().executeAsPlatform('SELECT 1 / 0'))),
      ).toBe('22012')
      const { rows } =
        await sql`SELECT current_schema()::text AS schema, current_user = session_user AS login`
      expect(rows).toEqual([{ schema: 'tenant_a', login: false }])
    })
  })

  it('waits for an open nested transaction, and is refused after the end', async () => {
    let ended: Transaction | undefined
    await inTransaction(async () => {
      ended = transaction()
      const nested = database.transaction(() => sleep(20))
      const { rows } = await ended.executeAsPlatform('SELECT 1 AS one')
      expect(rows).toEqual([{ one: 1 }])
      await nested
    })
    expect(await rejection(ended!.executeAsPlatform('SELECT 1'))).toBeInstanceOf(ContextEndedError)
  })
})

describe('afterCommit', () => {
  const hooks = async (end: () => unknown) => {
    const called: string[] = []
    const hook = (name: string) => currentScope()!.transaction!.afterCommit(() => called.push(name))
    await inTransaction(async () => {
      hook('outer')
      await database.transaction(() => hook('kept'))
      await rejection(
        database.transaction(async () => {
          hook('undone')
          await fail()
        }),
      )
      expect(called).toEqual([])
      await end()
    }).catch(() => {})
    return called
  }

  it('is called once COMMIT has succeeded, and not for what was undone', async () => {
    expect(await hooks(() => {})).toEqual(['outer', 'kept'])
    expect(await hooks(() => fail())).toEqual([])
    expect(await hooks(() => fail().catch(() => {}))).toEqual([])
  })
})

describe('an aborted signal', () => {
  const slow = () => sql`SELECT pg_sleep(20)`
  const within = (options: { signal: AbortSignal }, fn: () => Promise<unknown>) =>
    database.withTenant('a', fn, options)

  it.each([
    ['a statement', slow],
    ['a transaction', () => database.transaction(slow)],
    ['a nested transaction', () => database.transaction(() => database.transaction(slow))],
  ])(
    'cancels what is running in %s within a second, and its connection is not used again',
    async (_, run) => {
      const abort = new AbortController()
      const reason = new Error('cancelled by the test')
      const connections = new Set<pg.PoolClient>()
      const remember = (client: pg.PoolClient) => connections.add(client)
      database.pool.on('acquire', remember)
      const running = within(abort, async () => await run())
      running.catch(() => {})
      await sleep(150)
      database.pool.off('acquire', remember)
      const started = performance.now()
      abort.abort(reason)
      expect(await rejection(running)).toBe(reason)
      expect(performance.now() - started).toBeLessThan(1_000)
      const used = await Promise.all([1, 2, 3].map(() => database.pool.connect()))
      for (const client of used) client.release()
      expect(used.some((client) => connections.has(client))).toBe(false)
      const { rows } = await database.query(
        "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND state = 'active' AND pid <> pg_backend_pid()",
      )
      expect(rows).toEqual([])
    },
  )

  it('rolls the transaction back, although nothing was running', async () => {
    const abort = new AbortController()
    const error = await rejection(
      within(abort, () =>
        database.transaction(async () => {
          await write('lost')
          abort.abort(new Error('cancelled'))
        }),
      ),
    )
    expect(error).toMatchObject({ message: 'cancelled' })
    expect(await bodies()).toEqual([])
  })

  it('keeps a transaction from beginning when it came while that waited for a connection', async () => {
    const abort = new AbortController()
    const taken = await Promise.all([1, 2, 3].map(() => database.pool.connect()))
    let called = false
    const waiting = within(abort, () =>
      database.transaction(() => {
        called = true
      }),
    )
    await sleep(10)
    abort.abort(new Error('cancelled'))
    for (const client of taken) client.release()
    expect(await rejection(waiting)).toMatchObject({ message: 'cancelled' })
    expect(called).toBe(false)
  })

  it('refuses every statement that comes after it', async () => {
    const abort = new AbortController()
    const reason = new Error('cancelled')
    await within(abort, async () => {
      abort.abort(reason)
      expect(await rejection(sql`SELECT 1`)).toBe(reason)
      expect(await rejection(database.transaction(() => {}))).toBe(reason)
    })
  })
})
