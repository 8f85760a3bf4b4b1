/** When an attempt that failed is tried again. */
import { InvalidTaskError } from '../errors.ts'
import { type Duration, parseDuration } from './duration.ts'

export interface RetryOptions {
  /** Attempts in all, the first included; 3 by default. */
  maxAttempts?: number
  /** Delay before the second attempt; '1s' by default. */
  minDelay?: Duration
  /** No delay is longer; '10m' by default. */
  maxDelay?: Duration
  /** Each delay is this many times the one before; 2 by default. */
  factor?: number
}

export interface RetryRule {
  maxAttempts: number
  minDelayMs: number
  maxDelayMs: number
  factor: number
}

const dayMs = 86_400_000

export function readRetryRule(taskId: string, options: RetryOptions): RetryRule {
  const maxAttempts = options.maxAttempts ?? 3
  const factor = options.factor ?? 2
  const minDelayMs = parseDuration(options.minDelay ?? '1s', 0, dayMs)
  const maxDelayMs = parseDuration(options.maxDelay ?? '10m', 0, 30 * dayMs)
  if (!Number.isInteger(maxAttempts) || maxAttempts < 1 || maxAttempts > 100) {
    throw new InvalidTaskError(`retry.maxAttempts of ${taskId} must be a whole number from 1 to 100.`)
  }
  if (!Number.isFinite(factor) || factor < 1 || factor > 100) {
    throw new InvalidTaskError(`retry.factor of ${taskId} must be a number from 1 to 100.`)
  }
  if (minDelayMs === null || maxDelayMs === null || minDelayMs > maxDelayMs) {
    throw new InvalidTaskError(
      `retry.minDelay (up to a day) and retry.maxDelay (up to 30 days) of ${taskId} must be durations, the first not the longer.`,
    )
  }
  return { maxAttempts, minDelayMs, maxDelayMs, factor }
}

/**
 * Milliseconds until the attempt after `attempt` (1 for the first). Exponential, between half and the whole of it:
 * without jitter, runs that failed together would come back together.
 */
export function retryDelay(rule: RetryRule, attempt: number, random = Math.random()): number {
  const full = Math.min(rule.maxDelayMs, rule.minDelayMs * rule.factor ** (attempt - 1))
  return Math.round(full * (0.5 + random / 2))
}
