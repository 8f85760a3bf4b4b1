import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { readMigrations } from '../../src/db/migrations/files.ts'
import {
  ConfigError,
  DatabaseSetupError,
  InvalidTenantNameError,
  InvalidTenantSlugError,
  MigrationError,
  TenantExistsError,
  TenantHasOpenRunsError,
  TenantSuspendedError,
  UnknownTenantError,
} from '../../src/errors.ts'
import { createTenant } from '../../src/tenants/create.ts'
import { deleteTenant } from '../../src/tenants/delete.ts'
import { listTenants } from '../../src/tenants/list.ts'
import { createTenantSchema, runTenantMigrations } from '../../src/tenants/migrate.ts'
import { resumeTenant, suspendTenant } from '../../src/tenants/suspend.ts'
import { migrationsDir, openPlatform, openProcess, RecordedWork, traces } from './platform.ts'

let platform: Awaited<ReturnType<typeof openPlatform>>

beforeAll(async () => {
  platform = await openPlatform()
})

afterAll(async () => {
  await platform.close()
})

const gone = { schemas: 0, roles: 0, ledger: 0, rows: 0 }

describe('createTenant', () => {
  it('makes schema, role, tables and row, and the tenant can work at once', async () => {
    const tenant = await createTenant(platform, 'acme', { name: 'Ácme – 日本', timezone: 'Asia/Tokyo' })
    expect(tenant).toMatchObject({
      slug: 'acme',
      name: 'Ácme – 日本',
      status: 'active',
      timezone: 'Asia/Tokyo',
    })
    expect(tenant.id).toMatch(/^[0-9a-f-]{36}$/)
    expect(tenant.createdAt).toBeInstanceOf(Date)
    const { database } = platform
    await database.withTenant('acme', async () => {
      await database.sql`INSERT INTO customers (email) VALUES (${'a@example.com'})`
      const { rows } = await database.sql`SELECT email FROM customers`
      expect(rows).toEqual([{ email: 'a@example.com' }])
    })
  })

  it('takes a slug of 48 characters', async () => {
    const slug = `l${'o'.repeat(46)}g`
    await createTenant(platform, slug)
    const { database } = platform
    const answer = await database.withTenant(slug, () => database.sql`SELECT current_user::text AS role`)
    expect(answer.rows[0]!.role).toMatch(new RegExp(`^tenant_${slug}_[0-9a-z]{1,7}$`))
    await deleteTenant(platform, slug)
    expect(await traces(database, slug)).toEqual(gone)
  })

  it('refuses a bad slug, a bad time zone and a slug that is taken', async () => {
    await expect(createTenant(platform, 'No Good')).rejects.toThrow(InvalidTenantSlugError)
    await expect(createTenant(platform, 'good', { timezone: 'Nowhere' })).rejects.toThrow(ConfigError)
    await createTenant(platform, 'taken')
    await expect(createTenant(platform, 'taken')).rejects.toThrow(TenantExistsError)
    expect(await traces(platform.database, 'good')).toEqual(gone)
  })

  it('refuses options it cannot use, before any SQL', async () => {
    const untouched = {} as typeof platform
    const names = [5, null, 'a\0b', 'red \u001b[31m', 'two\nlines', '\u{d800}', 'x'.repeat(201)]
    for (const name of names) {
      const attempt = createTenant(untouched, 'named', { name: name as string })
      await expect(attempt).rejects.toThrow(InvalidTenantNameError)
      await expect(attempt).rejects.toMatchObject({ code: 'TENANT_NAME_INVALID' })
    }
    await expect(createTenant(untouched, 'named', null as never)).rejects.toThrow(ConfigError)
    await expect(createTenant(untouched, 'named', { timeZone: 'UTC' } as never)).rejects.toThrow(
      /no option timeZone/,
    )
  })

  it('calls a tenant by its slug when the name is empty; a name may have 200 characters', async () => {
    expect(await createTenant(platform, 'blank', { name: ' \n' })).toMatchObject({ name: 'blank' })
    const name = 'x'.repeat(200)
    expect(await createTenant(platform, 'long_name', { name: ` ${name}\n` })).toMatchObject({ name })
  })

  it('lets one of several win, in two processes, and the others leave nothing', async () => {
    const other = openProcess(platform.url)
    const attempts = [platform, other, platform, other].map((deps) => createTenant(deps, 'race'))
    const results = await Promise.allSettled(attempts)
    const refused = results.filter((result) => result.status === 'rejected')
    expect(refused.map(({ reason }) => reason.constructor)).toEqual(Array(3).fill(TenantExistsError))
    expect(await traces(platform.database, 'race')).toMatchObject({ schemas: 1, roles: 1, rows: 1 })
    await other.database.close()
  })

  it('makes ten different tenants at once', async () => {
    const slugs = Array.from({ length: 10 }, (_, index) => `crowd_${index}`)
    await Promise.all(slugs.map((slug) => createTenant(platform, slug)))
    const listed = (await listTenants(platform)).map(({ slug }) => slug)
    expect(listed).toEqual(expect.arrayContaining(slugs))
    expect(listed).toEqual([...listed].sort())
  })

  it('leaves nothing when a migration fails', async () => {
    const broken = await mkdtemp(join(tmpdir(), 'cgk-migrations-'))
    onTestFinished(() => rm(broken, { recursive: true }))
    await cp(migrationsDir, broken, { recursive: true })
    const next = (await readMigrations(broken, 'tenant')).length + 1
    await writeFile(join(broken, 'tenant', `${String(next).padStart(3, '0')}_broken.sql`), 'SELECT 1/0;')
    const attempt = createTenant({ ...platform, migrationsDir: broken }, 'unlucky')
    await expect(attempt).rejects.toThrow(MigrationError)
    await expect(attempt).rejects.toThrow(/_broken\.sql failed in tenant_unlucky.*division by zero/)
    expect(await traces(platform.database, 'unlucky')).toEqual(gone)
    await expect(platform.directory.admit('unlucky')).rejects.toThrow(UnknownTenantError)
    await createTenant(platform, 'unlucky')
  })

  it('refuses a schema that nobody owns, and leaves it as it is', async () => {
    await platform.database.script('CREATE SCHEMA tenant_stray; CREATE TABLE tenant_stray.keep (id int)')
    await expect(createTenant(platform, 'stray')).rejects.toThrow(DatabaseSetupError)
    expect(await traces(platform.database, 'stray')).toEqual({ ...gone, schemas: 1 })
    await platform.database.query('SELECT * FROM tenant_stray.keep')
  })
})

describe('createTenantSchema and runTenantMigrations', () => {
  it('complete a row that is there, and repeating changes nothing', async () => {
    await platform.database.query("INSERT INTO public.organizations (slug, name) VALUES ('half', 'Half')")
    const first = await createTenantSchema(platform, 'half')
    expect(first.files.length).toBeGreaterThan(0)
    expect((await createTenantSchema(platform, 'half')).files).toEqual([])
    expect((await runTenantMigrations(platform, 'half')).files).toEqual([])
    const { database } = platform
    await database.withTenant('half', () => database.sql`SELECT * FROM orders`)
    expect(await platform.directory.find('half')).toMatchObject({ status: 'onboarding' })
  })

  it('refuse a tenant without a row', async () => {
    await expect(createTenantSchema(platform, 'phantom')).rejects.toThrow(UnknownTenantError)
    await expect(runTenantMigrations(platform, 'phantom')).rejects.toThrow(UnknownTenantError)
    await expect(runTenantMigrations(platform, 'Phantom')).rejects.toThrow(InvalidTenantSlugError)
    expect(await traces(platform.database, 'phantom')).toEqual(gone)
  })
})

describe('suspendTenant and resumeTenant', () => {
  it('close and open the tenant, and may be repeated', async () => {
    const { database, work } = platform
    await createTenant(platform, 'pause')
    await suspendTenant(platform, 'pause')
    await suspendTenant(platform, 'pause')
    await expect(database.withTenant('pause', () => 1)).rejects.toThrow(TenantSuspendedError)
    work.calls = []
    await resumeTenant(platform, 'pause')
    await resumeTenant(platform, 'pause')
    expect(work.calls).toEqual(['release pause', 'release pause'])
    expect(await database.withTenant('pause', () => 1)).toBe(1)
  })

  it('leave an onboarding tenant onboarding when it is resumed', async () => {
    await platform.database.query("INSERT INTO public.organizations (slug, name) VALUES ('fresh', 'Fresh')")
    await resumeTenant(platform, 'fresh')
    expect(await platform.directory.find('fresh')).toMatchObject({ status: 'onboarding' })
  })

  it('refuse an unknown tenant and a bad slug', async () => {
    await expect(suspendTenant(platform, 'nobody')).rejects.toThrow(UnknownTenantError)
    await expect(resumeTenant(platform, 'nobody')).rejects.toThrow(UnknownTenantError)
    await expect(suspendTenant(platform, 'No')).rejects.toThrow(InvalidTenantSlugError)
  })
})

describe('deleteTenant', () => {
  it('removes everything, so that the slug is free again', async () => {
    const { database, work } = platform
    await createTenant(platform, 'leaver')
    await database.withTenant(
      'leaver',
      () => database.sql`INSERT INTO customers (email) VALUES ('x@example.com')`,
    )
    work.calls = []
    await deleteTenant(platform, 'leaver')
    expect(work.calls.at(-1)).toBe('drop leaver')
    expect(await traces(database, 'leaver')).toEqual(gone)
    await expect(database.withTenant('leaver', () => 1)).rejects.toThrow(UnknownTenantError)
    await createTenant(platform, 'leaver')
    const { rows } = await database.withTenant('leaver', () => database.sql`SELECT * FROM customers`)
    expect(rows).toEqual([])
  })

  it('refuses while runs are open, and the tenant works on', async () => {
    const { database, work } = platform
    await createTenant(platform, 'busy')
    work.open.set('busy', 2)
    await expect(deleteTenant(platform, 'busy')).rejects.toThrow(TenantHasOpenRunsError)
    expect(await database.withTenant('busy', () => 1)).toBe(1)
    await deleteTenant(platform, 'busy', { force: true })
    expect(await traces(database, 'busy')).toEqual(gone)
    expect(work.open.has('busy')).toBe(false)
  })

  it('finds a run that was triggered while it was being suspended, and lets the tenant go on', async () => {
    const { database } = platform
    await createTenant(platform, 'late')
    const counts = [0, 1]
    const calls: string[] = []
    const work = {
      countOpen: async () => counts.shift()!,
      drop: async () => void calls.push('drop'),
      release: async () => void calls.push('release'),
    }
    await expect(deleteTenant({ ...platform, work }, 'late')).rejects.toThrow(TenantHasOpenRunsError)
    expect(calls).toEqual(['release'])
    expect(await database.withTenant('late', () => 1)).toBe(1)
  })

  it('stays suspended when it is cut off, and can be repeated', async () => {
    const { database } = platform
    await createTenant(platform, 'torn')
    const cutOff = Object.assign(new RecordedWork(), { drop: () => Promise.reject(new Error('cut off')) })
    await expect(deleteTenant({ ...platform, work: cutOff }, 'torn')).rejects.toThrow('cut off')
    await expect(database.withTenant('torn', () => 1)).rejects.toThrow(TenantSuspendedError)
    await deleteTenant(platform, 'torn')
    expect(await traces(database, 'torn')).toEqual(gone)
  })

  it('works without schema or role, and refuses an unknown tenant', async () => {
    await platform.database.query("INSERT INTO public.organizations (slug, name) VALUES ('bare', 'Bare')")
    await deleteTenant(platform, 'bare')
    expect(await traces(platform.database, 'bare')).toEqual(gone)
    await expect(deleteTenant(platform, 'bare')).rejects.toThrow(UnknownTenantError)
    await expect(deleteTenant(platform, 'Bad Slug')).rejects.toThrow(InvalidTenantSlugError)
  })

  it('takes the memberships of the people along, and leaves the people', async () => {
    const { database } = platform
    const tenant = await createTenant(platform, 'team')
    await database.query("INSERT INTO public.users (email) VALUES ('p@example.com')")
    await database.query('INSERT INTO public.user_organizations SELECT id, $1 FROM public.users', [tenant.id])
    await deleteTenant(platform, 'team')
    const { rows } = await database.query(
      'SELECT (SELECT count(*)::int FROM public.users) AS users, (SELECT count(*)::int FROM public.user_organizations) AS memberships',
    )
    expect(rows).toEqual([{ users: 1, memberships: 0 }])
  })
})
