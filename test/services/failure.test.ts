import { describe, expect, test } from 'vitest'
import { UnknownServiceError } from '../../src/errors.ts'
import { failureOf, retryAfterMs } from '../../src/services/failure.ts'
import { loadService, readServiceError, serviceNames } from '../../src/services/registry.ts'

describe('a status means', () => {
  test.each([
    [400, 'permanent'],
    [401, 'refused'],
    [402, 'permanent'],
    [403, 'refused'],
    [404, 'permanent'],
    [408, 'transient'],
    [409, 'transient'],
    [422, 'permanent'],
    [425, 'transient'],
    [429, 'limited'],
    [500, 'transient'],
    [503, 'transient'],
    [529, 'transient'],
  ])('%i: %s', (status, kind) => {
    expect(failureOf({ status, message: 'm' })).toMatchObject({ kind, code: `http_${status}`, message: 'm' })
    expect(failureOf({ status, code: 'theirs', message: 'm' }).code).toBe('theirs')
  })
})

describe('Retry-After', () => {
  const now = Date.parse('2026-11-25T12:00:00Z')
  test.each([
    ['20', 20_000],
    ['1.5', 1_500],
    ['0', 1_000],
    ['Wed, 25 Nov 2026 12:01:30 GMT', 90_000],
    ['Wed, 25 Nov 2026 11:00:00 GMT', 1_000],
    ['soon', 30_000],
    ['-5', 1_000],
    ['', 30_000],
    ['999999999', 24 * 3_600_000],
    [undefined, 30_000],
  ])('%j is %i ms', (text, ms) => {
    for (const headers of [
      { 'Retry-After': text },
      new Headers(text === undefined ? {} : { 'retry-after': text }),
    ]) {
      expect(retryAfterMs(headers, now)).toBe(ms)
    }
    expect(retryAfterMs(null, now)).toBe(30_000)
  })
})

describe('the registry', () => {
  test('has every service under its own name, with a required credential and one that is secret', async () => {
    for (const name of serviceNames) {
      const service = await loadService(name)
      expect(service.name).toBe(name)
      const keys = Object.values(service.keys)
      expect(keys.some(({ required }) => required)).toBe(true)
      expect(keys.some(({ secret, required }) => secret && required)).toBe(true)
      for (const { description } of keys) expect(description.length).toBeGreaterThan(10)
    }
  })

  test('knows no other service, and whose an error is not', async () => {
    for (const name of ['paypal', 'constructor', '']) {
      await expect(loadService(name)).rejects.toThrow(UnknownServiceError)
    }
    for (const error of [new Error('x'), null, undefined, 'text', { status: 401 }]) {
      expect(readServiceError(error)).toBeNull()
    }
  })
})
