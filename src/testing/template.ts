/** A migrated database without tenants, for test platforms to copy: tens of milliseconds instead of a second. */
import { Platform } from '../platform.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'

/** Name it in CGK_TEST_TEMPLATE, in the environment of the tests, and drop it after them. */
export async function createTestTemplate(serverUrl: string): Promise<TestDatabase> {
  const database = await createTestDatabase({ serverUrl })
  const platform = new Platform({
    databaseUrl: database.url,
    directUrl: null,
    engine: 'pg-boss',
    migrate: 'auto',
    tasks: [],
    logLevel: 'silent',
  })
  try {
    await platform.ready()
  } catch (error) {
    await database.drop()
    throw error
  } finally {
    // Nobody may be connected to a database that is copied.
    await platform.close()
  }
  return database
}
