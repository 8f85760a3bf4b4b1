/** The whole platform in one story, through its public API, on whatever database it is given. */
import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { z } from 'zod'
import {
  close,
  configure,
  createTenant,
  defineTask,
  deleteTenant,
  listTenants,
  type PlatformOptions,
  resumeTenant,
  runs,
  sql,
  startWorker,
  suspendTenant,
  TenantSuspendedError,
  tenantPayload,
  transaction,
  withTenant,
} from '../../src/index.ts'
import { rejection, sqlState } from '../db/tenants.ts'

export const greet = defineTask({
  id: 'story/greet',
  payload: tenantPayload({ email: z.string() }),
  retry: { maxAttempts: 2, minDelay: '10ms' },
  async run({ email, tenantId }, { sql, transaction, attempt }) {
    const startedAt = Date.now()
    const { rows } = await sql<{ schema: string }>`SELECT current_schema()::text AS schema`
    await transaction(() => sql`INSERT INTO customers (email, first_name) VALUES (${email}, ${tenantId})`)
    if (email.startsWith('again') && attempt === 1) throw new Error('once more')
    return { schema: rows[0]!.schema, startedAt }
  },
})

export const wait = defineTask({
  id: 'story/wait',
  payload: tenantPayload({}),
  retry: { maxAttempts: 1 },
  async run(_, { sql }) {
    await sql`SELECT pg_sleep(30)`
  },
})

export function configureStory(options: PlatformOptions & { databaseUrl: string }) {
  return configure({
    directUrl: null,
    engine: 'pg-boss',
    migrate: 'auto',
    logLevel: 'silent',
    tasks: [greet, wait],
    ...options,
  })
}

export const newSlug = () => `story_${randomBytes(5).toString('hex')}`

export async function liveThroughEverything(
  options: PlatformOptions & { databaseUrl: string },
): Promise<void> {
  const [a, b] = [newSlug(), newSlug()]
  configureStory(options)
  try {
    await migratesAndMakesTenants([a, b])
    await startWorker()
    await runsForBoth([a, b])
    await keepsTenantsApart(a, b)
    await enqueuesWithTheTransactionOrNotAtAll(a)
    await stopsForASuspendedTenant(a)
    await cancelsWhatRuns(b)
    await close()
    // A second process finds everything done.
    configureStory(options)
    await startWorker()
    await runsForBoth([a, b])
  } finally {
    for (const slug of [a, b]) await deleteTenant(slug, { force: true })
    const left = await listTenants()
    await close()
    expect(left).toEqual([])
  }
}

async function migratesAndMakesTenants(slugs: readonly string[]): Promise<void> {
  await Promise.all(slugs.map((slug) => createTenant(slug)))
  const { rows } = await sql`SELECT slug FROM public.organizations`
  expect(rows.map(({ slug }) => slug).sort()).toEqual([...slugs].sort())
}

async function runsForBoth(slugs: readonly string[]): Promise<void> {
  const results = await Promise.all(
    slugs.flatMap((tenantId) =>
      ['once@example.org', 'again@example.org'].map((email) => greet.triggerAndWait({ tenantId, email })),
    ),
  )
  expect(results.map(({ ok }) => ok)).toEqual([true, true, true, true])
  for (const slug of slugs) {
    const { rows } = await withTenant(slug, () => sql`SELECT DISTINCT first_name FROM customers`)
    expect(rows).toEqual([{ first_name: slug }])
  }
}

async function keepsTenantsApart(a: string, b: string): Promise<void> {
  for (const table of [`tenant_${b}.customers`, 'public.organizations', 'pgboss.job']) {
    const names = sql.identifier(...table.split('.'))
    expect(await sqlState(withTenant(a, () => sql`SELECT * FROM ${names}`))).toBe('42501')
    expect(await sqlState(withTenant(a, () => transaction(() => sql`SELECT * FROM ${names}`)))).toBe('42501')
  }
}

async function enqueuesWithTheTransactionOrNotAtAll(tenantId: string): Promise<void> {
  const trigger = () => greet.trigger({ tenantId, email: 'transaction@example.org' })
  const { id } = await withTenant(tenantId, () => transaction(trigger))
  expect((await runs.wait(id)).state).toBe('completed')
  let undone = ''
  const error = withTenant(tenantId, () =>
    transaction(async () => {
      undone = (await trigger()).id
      throw new Error('undone')
    }),
  )
  expect(await rejection(error)).toMatchObject({ message: 'undone' })
  expect(await rejection(runs.get(undone))).toMatchObject({ code: 'RUN_UNKNOWN' })
}

async function stopsForASuspendedTenant(tenantId: string): Promise<void> {
  const { id } = await greet.trigger({ tenantId, email: 'held@example.org' }, { delay: '300ms' })
  await suspendTenant(tenantId)
  expect(await rejection(withTenant(tenantId, () => {}))).toBeInstanceOf(TenantSuspendedError)
  expect(await rejection(greet.trigger({ tenantId, email: 'refused@example.org' }))).toBeInstanceOf(
    TenantSuspendedError,
  )
  await expect.poll(async () => (await runs.get(id)).state, { timeout: 5_000 }).toBe('held')
  await resumeTenant(tenantId)
  expect((await runs.wait(id)).state).toBe('completed')
}

async function cancelsWhatRuns(tenantId: string): Promise<void> {
  const { id } = await wait.trigger({ tenantId })
  await expect.poll(async () => (await runs.get(id)).state, { timeout: 5_000 }).toBe('running')
  expect(await runs.cancel(id)).toBe(true)
  const asleep =
    () => sql`SELECT FROM pg_stat_activity WHERE query LIKE ${'%pg_sleep(30)%'} AND state = 'active' AND pid <> pg_backend_pid()
    AND datname = current_database()`
  await expect.poll(async () => (await asleep()).rowCount, { timeout: 8_000 }).toBe(0)
  expect((await runs.get(id)).state).toBe('cancelled')
}
