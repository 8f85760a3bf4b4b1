import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  ConfigError,
  InvalidTenantNameError,
  InvalidTenantSlugError,
  UnknownTenantError,
} from '../../src/errors.ts'
import { updateTenant } from '../../src/tenants/update.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

let kit: TestPlatform
beforeAll(async () => {
  kit = await createTestPlatform({ tasks: [] })
})
afterAll(() => kit.close())

test('what is named changes, what is left out stays, and the directory knows at once', async () => {
  const { tenants, directory } = await kit.platform.ready()
  const slug = await kit.tenant({ name: 'Old', timezone: 'Europe/Berlin' })
  expect(await directory.find(slug)).toMatchObject({ name: 'Old' })
  expect(await updateTenant(tenants, slug, { name: ' New ' })).toMatchObject({ slug, name: 'New' })
  expect(await updateTenant(tenants, slug, { timezone: 'UTC' })).toMatchObject({
    name: 'New',
    timezone: 'UTC',
  })
  expect(await directory.find(slug)).toMatchObject({ name: 'New', timezone: 'UTC', status: 'active' })
  expect(await updateTenant(tenants, slug, { name: '' })).toMatchObject({ name: slug })
})

test('what cannot be is refused', async () => {
  const { tenants } = await kit.platform.ready()
  const slug = await kit.tenant()
  await expect(updateTenant(tenants, 'No-Slug', {})).rejects.toThrow(InvalidTenantSlugError)
  await expect(updateTenant(tenants, 'nobody', { name: 'x' })).rejects.toThrow(UnknownTenantError)
  await expect(updateTenant(tenants, slug, { name: 'a\0' })).rejects.toThrow(InvalidTenantNameError)
  await expect(updateTenant(tenants, slug, { timezone: '+02:00' })).rejects.toThrow(ConfigError)
})
