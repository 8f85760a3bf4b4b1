/** One test platform per file, and a tenant of its own for each test. */
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { AbortTaskError } from '../../src/errors.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/index.ts'

export let kit: TestPlatform
export let tenantId: string

export function useTestPlatform(): void {
  beforeAll(async () => {
    kit = await createTestPlatform()
  })
  beforeEach(async () => {
    tenantId = await kit.tenant()
  })
  afterAll(async () => {
    await kit.close()
  })
}

export async function expectAbort(run: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await run.then(
    (output) => expect.fail(`It answered ${JSON.stringify(output)}`),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AbortTaskError)
  expect((error as Error).message).toMatch(message)
}
