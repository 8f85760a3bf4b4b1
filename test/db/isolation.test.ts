/** Real contention: 50 tenants, 200 contexts at once, 10 connections. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { contend, Ledger } from './contention.ts'
import { connectionStates, openTenants, slugsOf, type Tenants, untouched } from './tenants.ts'

const slugs = slugsOf('shop', 50)
const poolSize = 10
const ledger = new Ledger()
let tenants: Tenants

beforeAll(async () => {
  tenants = await openTenants(slugs, poolSize)
})

afterAll(async () => {
  await tenants.close()
})

it.each([1, 2, 3, 4])(
  'not one row is read or written in another schema, and every connection comes back clean (seed %i)',
  async (seed) => {
    const { database } = tenants
    let most = 0
    const watch = () => {
      most = Math.max(most, database.pool.totalCount - database.pool.idleCount)
    }
    database.pool.on('acquire', watch)
    await contend({ database, slugs, contexts: 200, seed }, ledger)
    database.pool.off('acquire', watch)
    // Otherwise nothing would have been contended for.
    expect(most).toBe(poolSize)
    expect(await connectionStates(database)).toEqual(Array(poolSize).fill(untouched))
    await ledger.check(database, slugs)
  },
)

it('every kind of work was done, cancelled in the middle as well as too late', () => {
  const kinds = [
    'read',
    'write',
    'add',
    'transaction',
    'error',
    'trespass',
    'temporary',
    'parallel',
    'cancelled',
    'visit',
  ]
  for (const kind of kinds) expect([kind, (ledger.steps.get(kind) ?? 0) > 20]).toEqual([kind, true])
})

it('the ledger finds a row that is in the wrong schema, and one that is missing', async () => {
  const { database } = tenants
  await database.query("UPDATE tenant_shop_0.notes SET tenant = 'shop_1'")
  await expect(ledger.check(database, slugs)).rejects.toThrow(/slug: 'shop_0'/)
  await database.query("UPDATE tenant_shop_0.notes SET tenant = 'shop_0'")
  await ledger.check(database, slugs)
  await database.query('DELETE FROM tenant_shop_0.notes')
  await expect(ledger.check(database, slugs)).rejects.toThrow(/slug: 'shop_0'/)
})
