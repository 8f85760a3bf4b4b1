import { AsyncResource } from 'node:async_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/db/database.ts'
import {
  ContextEndedError,
  CrossTenantTransactionError,
  InvalidTenantSlugError,
  TenantSuspendedError,
  UnknownTenantError,
} from '../../src/errors.ts'
import { deleteTenant } from '../../src/tenants/delete.ts'
import { suspendTenant } from '../../src/tenants/suspend.ts'
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
  tenants = await openTenants(['a', 'b', 'sleeping'], 3)
  database = tenants.database
  sql = database.sql
  await suspendTenant(tenants, 'sleeping')
})

afterAll(async () => {
  await tenants.close()
})

const schema = async () =>
  (await sql<{ schema: string }>`SELECT current_schema()::text AS schema`).rows[0]!.schema

/** How often a connection is taken from the pool while `fn` runs. */
async function connectionsTaken(fn: () => Promise<unknown>): Promise<number> {
  let taken = 0
  const count = () => {
    taken += 1
  }
  database.pool.on('acquire', count)
  await fn()
  database.pool.off('acquire', count)
  return taken
}

describe('withTenant', () => {
  it('calls its callback once, inside the tenant, and answers what it answers', async () => {
    let calls = 0
    const answer = await database.withTenant('a', async () => {
      calls += 1
      return [database.currentTenant(), await schema()]
    })
    expect(answer).toEqual(['a', 'tenant_a'])
    expect(calls).toBe(1)
    expect(database.currentTenant()).toBeNull()
  })

  it('runs a statement that the callback returns without awaiting it', async () => {
    const { rows } = await database.withTenant('a', () => sql`SELECT current_schema()::text AS schema`)
    expect(rows).toEqual([{ schema: 'tenant_a' }])
  })

  it('throws what the callback throws', async () => {
    const error = new Error('no')
    expect(await rejection(database.withTenant('a', () => Promise.reject(error)))).toBe(error)
    expect(
      await rejection(
        database.withTenant('a', () => {
          throw error
        }),
      ),
    ).toBe(error)
  })

  it('takes no connection for a callback that asks nothing, and one at a time for one that does', async () => {
    await database.withTenant('a', () => {})
    expect(await connectionsTaken(() => database.withTenant('a', () => sleep(5)))).toBe(0)
    expect(await connectionsTaken(() => database.withTenant('a', () => sql`SELECT 1`))).toBe(1)
  })

  it('keeps concurrent tenants apart, whatever they await in between', async () => {
    const seen = await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        database.withTenant(index % 2 ? 'a' : 'b', async () => {
          await sleep(index % 5)
          const first = await schema()
          await new Promise((resolve) => setImmediate(resolve))
          return [first, await schema(), database.currentTenant()]
        }),
      ),
    )
    for (const [index, found] of seen.entries()) {
      const slug = index % 2 ? 'a' : 'b'
      expect(found).toEqual([`tenant_${slug}`, `tenant_${slug}`, slug])
    }
  })

  it('says nothing about another database in the same process', async () => {
    const other = new Database({
      url: tenants.url,
      poolSize: 2,
      admit: (slug) => tenants.directory.admit(slug),
    })
    await database.withTenant('a', async () => {
      expect(other.currentTenant()).toBeNull()
      expect((await other.sql`SELECT current_schema()::text AS schema`).rows).toEqual([{ schema: 'public' }])
      expect(await other.withTenant('b', () => other.currentTenant())).toBe('b')
    })
    await other.close()
  })

  it('leaves nothing on any connection', async () => {
    await Promise.all(['a', 'b', 'a', 'b'].map((slug) => database.withTenant(slug, schema)))
    expect(await connectionStates(database)).toEqual([untouched, untouched, untouched])
  })
})

describe('a nested withTenant', () => {
  it('of the same tenant joins, transaction included', async () => {
    await database.withTenant('a', async () => {
      expect(await database.withTenant('a', schema)).toBe('tenant_a')
      await rejection(
        database.transaction(async () => {
          await database.withTenant('a', () => sql`INSERT INTO notes (tenant, body) VALUES ('a', 'joined')`)
          throw new Error('undone')
        }),
      )
      expect((await sql`SELECT FROM notes WHERE body = 'joined'`).rowCount).toBe(0)
    })
  })

  it('of another tenant has a context of its own, and the outer one goes on after it', async () => {
    await database.withTenant('a', async () => {
      expect(await Promise.all([database.withTenant('b', schema), schema()])).toEqual([
        'tenant_b',
        'tenant_a',
      ])
      expect(await schema()).toBe('tenant_a')
    })
  })

  it('of another tenant is refused inside a transaction, before its callback', async () => {
    let called = false
    const enter = () =>
      database.withTenant('b', () => {
        called = true
      })
    const crossed = database.withTenant('a', () => database.transaction(enter))
    expect(await rejection(crossed)).toBeInstanceOf(CrossTenantTransactionError)
    expect(await rejection(database.transaction(enter))).toBeInstanceOf(CrossTenantTransactionError)
    expect(called).toBe(false)
  })
})

describe('after the callback has ended', () => {
  it.each([
    ['a statement', () => sql`SELECT 1`],
    ['a transaction', () => database.transaction(() => {})],
    ['a withTenant', () => database.withTenant('b', () => {})],
  ])('%s is refused', async (_, call) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    let late: Promise<unknown> = Promise.resolve()
    await database.withTenant('a', () => {
      late = promise.then(async () => await call())
    })
    resolve()
    expect(await rejection(late)).toBeInstanceOf(ContextEndedError)
  })

  it('also when the callback failed, and when it is called from a timer or a bound callback', async () => {
    let bound = (): Promise<unknown> => Promise.resolve()
    await rejection(
      database.withTenant('a', () => {
        bound = AsyncResource.bind(async () => await sql`SELECT 1`)
        throw new Error('no')
      }),
    )
    expect(await rejection(bound())).toBeInstanceOf(ContextEndedError)
  })

  it('a statement that was started in time and not awaited still belongs to its tenant', async () => {
    let started: PromiseLike<{ rows: unknown[] }> | undefined
    await database.withTenant('a', () => {
      started = sql`SELECT current_schema()::text AS schema, pg_sleep(0.05)`.then((answer) => answer)
    })
    expect((await started!).rows).toMatchObject([{ schema: 'tenant_a' }])
  })
})

describe('a tenant that cannot be entered', () => {
  const enter = (slug: unknown) => database.withTenant(slug as string, () => expect.unreachable())

  it.each([
    'A',
    '1a',
    '_a',
    'a-b',
    'a b',
    'a.b',
    "a'",
    'a"; --',
    '',
    'ä',
    'a\0',
    'a'.repeat(49),
    undefined,
    null,
    7,
    {},
    ['a'],
  ])('a slug that is none is refused before any SQL: %j', async (slug) => {
    const taken = await connectionsTaken(async () => {
      expect(await rejection(enter(slug))).toBeInstanceOf(InvalidTenantSlugError)
    })
    expect(taken).toBe(0)
  })

  it('unknown, suspended', async () => {
    expect(await rejection(enter('nobody'))).toBeInstanceOf(UnknownTenantError)
    expect(await rejection(enter('sleeping'))).toBeInstanceOf(TenantSuspendedError)
  })

  it('deleted by another process while this one still knows it: UnknownTenantError', async () => {
    await createTenants(tenants, ['gone'])
    const known = await tenants.directory.admit('gone')
    const stale = new Database({ url: tenants.url, poolSize: 2, admit: async () => known })
    await stale.withTenant('gone', () => stale.sql`SELECT 1`)
    await deleteTenant(tenants, 'gone')
    for (const work of [() => stale.sql`SELECT 1`, () => stale.transaction(() => stale.sql`SELECT 1`)]) {
      const error = await rejection(stale.withTenant('gone', async () => await work()))
      expect(error).toBeInstanceOf(UnknownTenantError)
      expect(error).toMatchObject({
        tenantId: 'gone',
        cause: { code: expect.stringMatching(/^(22023|42704)$/) },
      })
    }
    await stale.close()
  })
})

describe('temporary tables', () => {
  it('of one tenant never stand in front of a table of another, nor of its own', async () => {
    await database.withTenant('a', () =>
      database.transaction(async () => {
        await sql`CREATE TEMP TABLE notes (id int) ON COMMIT DROP`
        await sql`INSERT INTO notes (tenant, body) VALUES ('a', 'the real one')`
        expect((await sql`SELECT FROM notes WHERE body = 'the real one'`).rowCount).toBe(1)
      }),
    )
    await database.withTenant('b', async () => {
      expect((await sql`SELECT FROM notes`).rowCount).toBe(0)
    })
  })

  it('one that a function left on the connection is closed to the next tenant', async () => {
    const one = new Database({
      url: tenants.url,
      poolSize: 1,
      admit: (slug) => tenants.directory.admit(slug),
    })
    const { role } = await tenants.directory.admit('a')
    await one.script(`BEGIN; SET LOCAL ROLE "${role}"; CREATE TEMP TABLE left_behind (id int); COMMIT`)
    expect(await sqlState(one.withTenant('b', () => one.sql`SELECT * FROM left_behind`))).toBe('42501')
    await one.close()
  })
})
