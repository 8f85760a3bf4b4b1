/** What tests of schedules share: a platform whose time stands still, and tasks that are run by schedules. */
import { afterAll, beforeAll } from 'vitest'
import type { AnyTask } from '../../src/task/define.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

export let kit: TestPlatform

export function useSchedules(tasks: readonly AnyTask[], engine: 'inline' | 'pg-boss' = 'inline'): void {
  beforeAll(async () => {
    kit = await createTestPlatform({ engine, tasks })
    await kit.tick()
  })
  afterAll(() => kit.close())
}
