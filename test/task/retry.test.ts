import { describe, expect, test } from 'vitest'
import { readRetryRule, retryDelay } from '../../src/task/retry.ts'

describe('retryDelay', () => {
  const rule = readRetryRule('t', { minDelay: '1s', maxDelay: '1m', factor: 2 })
  const shortest = (attempt: number) => retryDelay(rule, attempt, 0)
  const longest = (attempt: number) => retryDelay(rule, attempt, 1)

  test('doubles, up to the longest', () => {
    expect([1, 2, 3, 6, 7, 8, 100].map(longest)).toEqual([
      1_000, 2_000, 4_000, 32_000, 60_000, 60_000, 60_000,
    ])
  })

  test('is at least half of it, so that runs that failed together part', () => {
    expect([1, 2, 3, 7].map(shortest)).toEqual([500, 1_000, 2_000, 30_000])
    const delays = new Set(Array.from({ length: 50 }, () => retryDelay(rule, 5)))
    expect(delays.size).toBeGreaterThan(10)
    for (const delay of delays) expect(delay).toBeGreaterThanOrEqual(8_000)
  })

  test('a factor of 1 keeps it even, and no delay is none', () => {
    expect(retryDelay(readRetryRule('t', { minDelay: '5s', factor: 1 }), 9, 1)).toBe(5_000)
    expect(retryDelay(readRetryRule('t', { minDelay: 0, maxDelay: 0 }), 3, 1)).toBe(0)
  })

  test('the largest rule that is allowed does not overflow', () => {
    const steep = readRetryRule('t', { maxAttempts: 100, minDelay: '1d', maxDelay: '30d', factor: 100 })
    expect(retryDelay(steep, 100, 1)).toBe(30 * 86_400_000)
  })
})
