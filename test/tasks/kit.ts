/** One test platform per file, and a tenant of its own for each test. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect } from 'vitest'
import { setCredential } from '../../src/default-platform.ts'
import { AbortTaskError } from '../../src/errors.ts'
import type { ServiceName } from '../../src/services/registry.ts'
import type { Credentials } from '../../src/services/service.ts'
import { createTestPlatform, type TestPlatform, type TestPlatformOptions } from '../../src/testing/index.ts'
import { type Providers, startProvider } from '../fixtures/providers/index.ts'

export let kit: TestPlatform
export let tenantId: string

export function useTestPlatform(options: () => TestPlatformOptions = () => ({})): void {
  beforeAll(async () => {
    kit = await createTestPlatform({
      encryptionKeys: anyKey(),
      shopifyEncryptionKeys: anyKey(),
      ...options(),
    })
  })
  beforeEach(async () => {
    tenantId = await kit.tenant()
  })
  afterAll(async () => {
    await kit.close()
  })
}

/**
 * The same, with local servers that play these providers. The tenant of each test has credentials that they take. Every
 * test finds them calm and without requests; what they hold (transfers, assets) stays for the file.
 */
export function useProviders<Name extends ServiceName>(
  names: readonly Name[],
  options: TestPlatformOptions = {},
): Pick<Providers, Name> {
  const providers = {} as Pick<Providers, Name>
  const newCredentials = new Map<Name, () => Credentials>()
  beforeAll(async () => {
    for (const name of names) {
      const started = await startProvider(name)
      providers[name] = started.server
      newCredentials.set(name, started.newCredentials)
    }
  })
  useTestPlatform(() => ({
    services: Object.fromEntries(
      names.map((name) => [name, { baseUrl: providers[name].url, timeoutMs: 2_000 }]),
    ),
    ...options,
  }))
  beforeEach(async () => {
    for (const name of names) {
      providers[name].calm()
      providers[name].requests.splice(0)
      await setCredential(tenantId, name, newCredentials.get(name)!())
    }
  })
  afterAll(async () => {
    for (const name of names) await providers[name].close()
  })
  return providers
}

function anyKey(): string {
  return randomBytes(32).toString('base64')
}

export async function expectAbort(run: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await run.then(
    (output) => expect.fail(`It answered ${JSON.stringify(output)}`),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(AbortTaskError)
  expect((error as Error).message).toMatch(message)
}
