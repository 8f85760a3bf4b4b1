/** What those who write tasks import in their tests, from `@cgk-platform/jobs/testing`. Works with every test runner. */

export type { TestDatabase, TestDatabaseOptions } from './database.ts'
// ── databases ───────────────────────────────────────────────────────────────────────────────────────────────
export { createTestDatabase } from './database.ts'
export type { Drained, DrainOptions } from './drain.ts'
export type { ExpectedRun } from './enqueued.ts'
export type { TestPlatform, TestPlatformOptions } from './platform.ts'
export { createTestPlatform } from './platform.ts'
export type { RunTaskOptions } from './run-task.ts'
export { createTestTemplate } from './template.ts'
