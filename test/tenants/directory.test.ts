import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Listener } from '../../src/db/listener.ts'
import { InvalidTenantSlugError, TenantSuspendedError, UnknownTenantError } from '../../src/errors.ts'
import { TenantDirectory, tenantChannel } from '../../src/tenants/directory.ts'
import { suspendTenant } from '../../src/tenants/suspend.ts'
import { openPlatform, openProcess, type Process } from './platform.ts'

let platform: Awaited<ReturnType<typeof openPlatform>>
/** Another process, which did not make the change. */
let other: Process

beforeAll(async () => {
  platform = await openPlatform()
  other = openProcess(platform.url)
})

afterAll(async () => {
  await other.database.close()
  await platform.close()
})

const addTenant = (slug: string, status = 'active') =>
  platform.database.query('INSERT INTO public.organizations (slug, name, status) VALUES ($1, $1, $2)', [
    slug,
    status,
  ])

const setStatus = (slug: string, status: string) =>
  platform.database.query('UPDATE public.organizations SET status = $2 WHERE slug = $1', [slug, status])

describe('admit', () => {
  it('answers schema and role of an active and of an onboarding tenant', async () => {
    await addTenant('alpha')
    await addTenant('alpha_new', 'onboarding')
    const { rows } = await platform.database.query<{ oid: number }>(
      'SELECT oid FROM pg_database WHERE datname = current_database()',
    )
    expect(await platform.directory.admit('alpha')).toEqual({
      slug: 'alpha',
      schema: 'tenant_alpha',
      organizationId: expect.any(String),
      role: `tenant_alpha_${rows[0]!.oid.toString(36)}`,
    })
    await expect(platform.directory.admit('alpha_new')).resolves.toMatchObject({ slug: 'alpha_new' })
  })

  it('refuses an unknown and a suspended tenant', async () => {
    await addTenant('beta', 'suspended')
    await expect(platform.directory.admit('beta')).rejects.toThrow(TenantSuspendedError)
    await expect(platform.directory.admit('nobody')).rejects.toThrow(UnknownTenantError)
    expect(await platform.directory.find('beta')).toMatchObject({
      slug: 'beta',
      status: 'suspended',
      timezone: 'UTC',
    })
    expect(await platform.directory.find('nobody')).toBeNull()
  })

  it('refuses a bad slug before any SQL', async () => {
    const directory = new TenantDirectory({
      database: () => {
        throw new Error('the database was asked')
      },
    })
    await expect(directory.admit('Robert"; DROP')).rejects.toThrow(InvalidTenantSlugError)
    await expect(directory.find('3f2b8c1e-0000-4000-8000-000000000000')).rejects.toThrow(
      InvalidTenantSlugError,
    )
  })

  it('finds a new tenant at once, though it was unknown a moment ago', async () => {
    await expect(platform.directory.admit('gamma')).rejects.toThrow(UnknownTenantError)
    await addTenant('gamma')
    await expect(platform.directory.admit('gamma')).resolves.toMatchObject({ slug: 'gamma' })
  })
})

describe('what another process changed', () => {
  it('is seen when the answer is 5 s old, and not before', async () => {
    await addTenant('delta')
    await other.directory.admit('delta')
    await setStatus('delta', 'suspended')
    other.clock.ms += 4_999
    await expect(other.directory.admit('delta')).resolves.toBeDefined()
    other.clock.ms += 1
    await expect(other.directory.admit('delta')).rejects.toThrow(TenantSuspendedError)
  })

  it('is seen at once after invalidate, of one tenant or of all', async () => {
    await addTenant('epsilon')
    await other.directory.admit('epsilon')
    await setStatus('epsilon', 'suspended')
    other.directory.invalidate('delta')
    await expect(other.directory.admit('epsilon')).resolves.toBeDefined()
    other.directory.invalidate('epsilon')
    await expect(other.directory.admit('epsilon')).rejects.toThrow(TenantSuspendedError)
    await setStatus('epsilon', 'active')
    other.directory.invalidate()
    await expect(other.directory.admit('epsilon')).resolves.toBeDefined()
  })

  it('is announced on the tenant channel', async () => {
    await addTenant('zeta')
    await other.directory.admit('zeta')
    const heard = Promise.withResolvers<string>()
    const connected = Promise.withResolvers<void>()
    const listener = new Listener({ url: platform.url })
      .on(tenantChannel, (slug) => {
        other.directory.invalidate(slug)
        heard.resolve(slug)
      })
      .onConnect(() => connected.resolve())
    listener.start()
    await connected.promise
    await suspendTenant(platform, 'zeta')
    expect(await heard.promise).toBe('zeta')
    await expect(other.directory.admit('zeta')).rejects.toThrow(TenantSuspendedError)
    await listener.close()
  })

  it('is not hidden by a question that was under way when it happened', async () => {
    await addTenant('eta')
    const asked = other.directory.admit('eta')
    other.directory.invalidate('eta')
    await asked
    await setStatus('eta', 'suspended')
    await expect(other.directory.admit('eta')).rejects.toThrow(TenantSuspendedError)
  })
})

describe('the cache', () => {
  /** A directory that counts how often it goes to the database. */
  const counted = (maxEntries: number) => {
    const count = { reads: 0 }
    const database = () => {
      count.reads += 1
      return platform.database
    }
    return { count, directory: new TenantDirectory({ database, maxEntries, now: () => 0 }) }
  }

  it('asks once, however many ask at the same time', async () => {
    await addTenant('theta')
    const { count, directory } = counted(10)
    await Promise.all(Array.from({ length: 50 }, () => directory.admit('theta')))
    await directory.admit('theta')
    expect(count.reads).toBe(1)
  })

  it('forgets the one that was not asked for longest', async () => {
    for (const slug of ['one', 'two', 'three']) await addTenant(slug)
    const { count, directory } = counted(2)
    for (const slug of ['one', 'two', 'one', 'three', 'one']) await directory.admit(slug)
    expect(count.reads).toBe(3)
    await directory.admit('two')
    expect(count.reads).toBe(4)
  })

  it('keeps nothing of a question that failed', async () => {
    await addTenant('iota')
    let broken = true
    const directory = new TenantDirectory({
      database: () => {
        if (broken) throw new Error('no connection')
        return platform.database
      },
    })
    await expect(directory.admit('iota')).rejects.toThrow('no connection')
    broken = false
    await expect(directory.admit('iota')).resolves.toMatchObject({ slug: 'iota' })
  })
})
