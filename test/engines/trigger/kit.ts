/** A platform whose engine is Trigger.dev, and the fixture that plays it. Every request must fit the SDK's schemas. */
import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { z } from 'zod'
import { readTestConfig } from '../../../src/config.ts'
import { close, configure, createTenant } from '../../../src/default-platform.ts'
import type { Engine } from '../../../src/engines/engine.ts'
import { TriggerEngine, type TriggerEngineOptions } from '../../../src/engines/trigger/engine.ts'
import { Platform, type PlatformOptions } from '../../../src/platform.ts'
import { Secret } from '../../../src/secret.ts'
import { defineTask } from '../../../src/task/define.ts'
import { tenantPayload } from '../../../src/task/payload.ts'
import type { RunRequest } from '../../../src/task/run.ts'
import { createTestDatabase, type TestDatabase } from '../../../src/testing/database.ts'
import { TriggerPlatform } from '../../fixtures/trigger/platform.ts'
import type { StoredRun } from '../../fixtures/trigger/stored-run.ts'

export const note = defineTask({
  id: 'trigger-test/note',
  payload: tenantPayload({
    text: z
      .string()
      .transform((text) => `<${text}>`)
      .default('none'),
  }),
  retry: { maxAttempts: 4 },
  run: ({ text }) => text,
})
export const other = defineTask({ id: 'trigger-test/other', payload: tenantPayload({}), run: () => null })

/** Trigger.dev. */
export let cloud: TriggerPlatform
export let platform: Platform
export let engine: Engine
/** What was logged, as JSON lines. */
export const logged: string[] = []
let database: TestDatabase

export function onTriggerDev(options: PlatformOptions = {}): void {
  beforeAll(async () => {
    const { template } = readTestConfig()
    database = await createTestDatabase(template === undefined ? {} : { template })
    cloud = await new TriggerPlatform().listen()
    platform = configure({
      engine: 'trigger.dev',
      triggerApiUrl: cloud.url,
      triggerSecretKey: cloud.secretKey,
      databaseUrl: database.url,
      tasks: [note, other],
      logLevel: 'silent',
      ...options,
    })
    engine = (await platform.ready()).engine
  })
  afterEach(() => expect(cloud.misfits).toEqual([]))
  afterAll(async () => {
    await close()
    await cloud.close()
    await database.drop()
  })
}

/** What knows of no run yet. */
export async function anotherProcess(
  options: PlatformOptions = {},
): Promise<{ engine: Engine; close(): Promise<void> }> {
  const stranger = new Platform({
    engine: 'trigger.dev',
    triggerApiUrl: cloud.url,
    triggerSecretKey: cloud.secretKey,
    databaseUrl: database.url,
    tasks: [],
    logLevel: 'silent',
    ...options,
  })
  return { engine: (await stranger.ready()).engine, close: () => stranger.close() }
}

/** The engine alone, as another process has it. Close it. */
export async function anotherEngine(options: Partial<TriggerEngineOptions> = {}): Promise<TriggerEngine> {
  const started = await platform.ready()
  return new TriggerEngine({
    url: cloud.url,
    key: new Secret(cloud.secretKey),
    previewBranch: null,
    database: started.database,
    logger: platform.logger,
    retention: platform.config,
    organizationOf: async (tenantId) => (await started.directory.find(tenantId))?.id,
    ...options,
  })
}

/** What a trigger of `note` comes to. */
export function requestOf(tenantId: string, options: Partial<RunRequest> = {}): RunRequest {
  return {
    id: randomUUID(),
    taskId: note.id,
    tenantId,
    input: { tenantId },
    parentRunId: null,
    triggeredBy: { kind: 'app', ref: null },
    replayOf: null,
    idempotency: null,
    delayMs: 0,
    runAt: null,
    priority: 0,
    ttlMs: null,
    tags: [],
    maxAttempts: 1,
    ...options,
  }
}

export async function newTenant(): Promise<string> {
  const slug = `test_${randomBytes(6).toString('hex')}`
  await createTenant(slug)
  return slug
}

/** As Trigger.dev keeps it. */
export function stored(runId: string): StoredRun {
  const found = cloud.store.all().find(({ tags }) => tags.includes(`run:${runId}`))
  if (!found) throw new Error(`Trigger.dev has no run ${runId}.`)
  return found
}

/** The runs that Trigger.dev has of a tenant. */
export function storedOf(tenantId: string): StoredRun[] {
  return cloud.store.all().filter(({ tags }) => tags.includes(`tenant:${tenantId}`))
}
