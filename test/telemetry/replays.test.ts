/** A replay begins a trace of its own, with a link to that of the run it replays. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runs } from '../../src/default-platform.ts'
import { defineTask } from '../../src/task/define.ts'
import { readTriggerOptions } from '../../src/task/options.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import type { RunRequest } from '../../src/task/run.ts'
import { traceEnqueue } from '../../src/telemetry/enqueue-span.ts'
import { createTestPlatform, type TestPlatform } from '../../src/testing/platform.ts'
import { allSpans, forgetSpans, inAppSpan, spanOf } from './sdk.ts'

const note = defineTask({ id: 'replays/note', payload: tenantPayload({}), run: () => null })

let platform: TestPlatform
let tenantId: string
beforeAll(async () => {
  platform = await createTestPlatform({ engine: 'pg-boss', tasks: [note] })
  tenantId = await platform.tenant()
})
afterAll(() => platform.close())

/** As whoever replays asks for it. */
function replayOf(traceparent: string | null): RunRequest {
  return {
    id: randomUUID(),
    taskId: note.id,
    tenantId,
    input: { tenantId },
    parentRunId: null,
    triggeredBy: { kind: 'app', ref: null },
    replayOf: null,
    ...readTriggerOptions({}, { maxAttempts: 1 }),
    ...(traceparent && { trace: { follows: traceparent } }),
  }
}

test('the new run and its attempts are linked to the old trace', async () => {
  let oldId = ''
  const oldTrace = await inAppSpan(async () => {
    oldId = (await note.trigger({ tenantId })).id
  })
  const { traceparent } = await runs.get(oldId)
  const newTrace = await inAppSpan(() => platform.platform.dispatcher.enqueue([replayOf(traceparent)]))
  await platform.drain()
  expect(newTrace).not.toBe(oldTrace)
  const old = spanOf(oldTrace, 'send replays/note').spanContext()
  for (const name of ['send replays/note', 'process replays/note']) {
    expect(spanOf(newTrace, name).links).toMatchObject([
      { context: { traceId: old.traceId, spanId: old.spanId } },
    ])
  }
})

test('a replay of thousands has one span, with as many links as SDKs keep', async () => {
  forgetSpans()
  const trace = { follows: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` }
  const requests = Array.from({ length: 2_000 }, () => ({ taskId: 'a', tenantId: 't', trace }))
  await traceEnqueue(requests, async (traced) => traced.map(() => ({ id: randomUUID() })))
  expect(allSpans().map(({ links }) => links.length)).toEqual([128])
})

test('what is no traceparent is left alone', async () => {
  forgetSpans()
  await platform.platform.dispatcher.enqueue([replayOf('00-nonsense')])
  await platform.drain()
  expect(allSpans().map(({ name, links }) => [name, links.length])).toEqual([
    ['send replays/note', 0],
    ['process replays/note', 0],
  ])
})
