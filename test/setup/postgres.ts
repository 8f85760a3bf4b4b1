/**
 * vitest global setup: one Postgres for the whole run, unless the environment names one. Test files ask it for a
 * database each (`createTestDatabase`, `createTestPlatform`). The workers inherit where it is (CGK_TEST_SERVER_URL) and
 * which database of it is migrated and can be copied (CGK_TEST_TEMPLATE).
 */
import { readTestConfig } from '../../src/config.ts'
import { startTemporaryPostgres } from '../../src/db/embedded/temporary.ts'
import { createTestTemplate } from '../../src/testing/template.ts'

export default async function setup(): Promise<() => Promise<void>> {
  const given = readTestConfig().serverUrl
  const server = given ? null : await startTemporaryPostgres()
  const serverUrl = given ?? server!.url
  process.env.CGK_TEST_SERVER_URL = serverUrl
  const template = await createTestTemplate(serverUrl).catch(async (error) => {
    await server?.stop()
    throw error
  })
  process.env.CGK_TEST_TEMPLATE = template.name
  return async () => {
    await template.drop()
    await server?.stop()
  }
}
