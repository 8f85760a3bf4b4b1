/** What the API says of a run. */
import { z } from '@hono/zod-openapi'
import { runStates, triggerKinds } from '../../task/run.ts'
import { slug, time, uuid } from './schemas.ts'

const count = z.int().min(0)

export const runErrorSchema = z
  .object({
    name: z.string(),
    code: z.string().nullable(),
    message: z.string(),
    stack: z.string().nullable(),
  })
  .openapi('RunError')

export const runSchema = z
  .object({
    id: uuid,
    taskId: z.string(),
    tenantId: slug,
    state: z.enum(runStates),
    attempt: count.describe('The attempt that runs or ran last; 0 before the first.'),
    maxAttempts: count,
    priority: z.int(),
    tags: z.array(z.string()),
    payload: z
      .unknown()
      .describe('What its schema marks as pii or secret is masked without the permission payload:read.'),
    output: z.unknown().describe('What the task returned; masked without the permission payload:read.'),
    error: runErrorSchema.nullable().describe('Why the last attempt failed, or why the run is held.'),
    fingerprint: z.string().nullable().describe('The failure group of the error.'),
    parentRunId: uuid.nullable(),
    triggeredBy: z.object({ kind: z.enum(triggerKinds), ref: z.string().nullable() }),
    replayOf: uuid.nullable(),
    idempotencyKey: z.string().nullable(),
    traceparent: z.string().nullable(),
    createdAt: time,
    runAt: time.describe('When it may start (again).'),
    startedAt: time.nullable(),
    finishedAt: time.nullable(),
    worker: z.string().nullable(),
    credentials: z
      .record(z.string(), z.string())
      .describe('By service, the version of the credential that the last attempt worked with.'),
  })
  .openapi('Run')

export const attemptSchema = z
  .object({
    attempt: count,
    result: z.enum(['retry', 'failed', 'lost']),
    error: runErrorSchema,
    fingerprint: z.string().nullable(),
    startedAt: time,
    finishedAt: time,
    worker: z.string(),
  })
  .openapi('Attempt')

export const progressSchema = z
  .object({
    attempt: count,
    fraction: z.number().nullable().describe('From 0 to 1.'),
    current: z.number().nullable(),
    total: z.number().nullable(),
    message: z.string().nullable(),
    at: time,
  })
  .openapi('Progress')

export const runDetailsSchema = runSchema
  .extend({
    attempts: z.array(attemptSchema).describe('Those that failed or were lost, first to last.'),
    progress: progressSchema.nullable(),
  })
  .openapi('RunDetails')

export const runCountSchema = z
  .object({ taskId: z.string(), tenantId: slug, state: z.enum(runStates), runs: count })
  .openapi('RunCount')

export const logLineSchema = z
  .object({
    seq: z.int().describe('Which of the lines of the run it is, from 1. A gap: lines that were not kept.'),
    attempt: count,
    level: z.string(),
    at: time,
    message: z.string(),
    fields: z.record(z.string(), z.unknown()),
  })
  .openapi('LogLine')
