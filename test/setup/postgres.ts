/**
 * vitest global setup: one Postgres for the whole run, unless the environment names one. Test files ask it for a
 * database each (`createTestDatabase`); the workers find it in CGK_TEST_SERVER_URL, which they inherit.
 */
import { startTemporaryPostgres } from '../../src/db/embedded/temporary.ts'
import { testServerUrl } from '../../src/testing/database.ts'

export default async function setup(): Promise<(() => Promise<void>) | undefined> {
  if (testServerUrl()) return undefined
  const server = await startTemporaryPostgres()
  process.env.CGK_TEST_SERVER_URL = server.url
  return async () => {
    delete process.env.CGK_TEST_SERVER_URL
    await server.stop()
  }
}
