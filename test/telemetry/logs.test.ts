/** A log line says which span it was written in. */
import { trace } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { createLogger } from '../../src/log.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { createTestPlatform } from '../../src/testing/platform.ts'
import { inAppSpan, spanOf } from './sdk.ts'

test('in a run it is the span of the attempt; outside of any there is none', async () => {
  const lines: string[] = []
  const logger = createLogger('info', { write: (line) => void lines.push(line) })
  const speaking = defineTask({
    id: 'logs/speaking',
    payload: tenantPayload({}),
    run: (_, context) => context.logger.info('inside'),
  })
  await using platform = await createTestPlatform({ tasks: [speaking], logger })
  const tenantId = await platform.tenant()
  const traceId = await inAppSpan(() => speaking.trigger({ tenantId }))
  await platform.drain()
  expect(trace.getActiveSpan()).toBeUndefined()
  logger.info('outside')

  const said = new Map(lines.map((line) => JSON.parse(line)).map((line) => [line.msg, line]))
  expect(said.get('inside')).toMatchObject({
    run: expect.any(String),
    trace_id: traceId,
    span_id: spanOf(traceId, 'process logs/speaking').spanContext().spanId,
  })
  expect(said.get('outside')).not.toHaveProperty('trace_id')
})
