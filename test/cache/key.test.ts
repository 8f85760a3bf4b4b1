import { expect, test } from 'vitest'
import { InvalidCacheKeyError, InvalidTenantSlugError } from '../../src/errors.ts'
import { type CacheKeyPart, getCacheKey } from '../../src/index.ts'

test.each([
  [['product', 123], 'shop:product:123'],
  [[], 'shop'],
  [[''], 'shop:'],
  [['', ''], 'shop::'],
  [['a:b'], 'shop:a%003ab'],
  [['100%'], 'shop:100%0025'],
  [['Zürich 日本 😀'], 'shop:Zürich 日本 😀'],
  [['\0', '\ud800'], 'shop:%0000:%d800'],
  [[-0.5, 1e21], 'shop:-0.5:1e+21'],
  [[-0], 'shop:0'],
])('%j', (parts, key) => {
  expect(getCacheKey('shop', ...(parts as CacheKeyPart[]))).toBe(key)
})

test('no two lists of parts share a key, and no two tenants', () => {
  const texts = [
    '',
    ':',
    '%',
    '%003a',
    'a',
    'a:',
    ':a',
    'a%',
    'a:b',
    '0',
    'é',
    'e\u0301',
    '\ud800',
    '\udc00',
    '😀',
    '\0',
  ]
  texts.push('x'.repeat(300), 'x'.repeat(301), `${'x'.repeat(300)}:`, `%sha256-${'0'.repeat(64)}`)
  const keys = new Set<string>()
  let lists = 0
  for (const tenantId of ['a', 'ab', 'a_b']) {
    for (const first of texts) {
      keys.add(getCacheKey(tenantId, first))
      for (const second of texts) {
        keys.add(getCacheKey(tenantId, first, second))
        for (const third of texts) keys.add(getCacheKey(tenantId, first, second, third))
      }
    }
    lists += texts.length + texts.length ** 2 + texts.length ** 3
  }
  expect(keys.size).toBe(lists)
  for (const key of keys) expect(key.length).toBeLessThanOrEqual(200)
})

test('a long one is hashed, and still says whose it is', () => {
  expect(getCacheKey('shop', 'x'.repeat(1_000))).toMatch(/^shop:%sha256-[0-9a-f]{64}$/)
  const longest = 'x'.repeat(195)
  expect(getCacheKey('shop', longest)).toBe(`shop:${longest}`)
})

test('refuses what is no tenant and what is no part', () => {
  expect(() => getCacheKey('Shop', 'a')).toThrow(InvalidTenantSlugError)
  expect(() => getCacheKey('a:b', 'a')).toThrow(InvalidTenantSlugError)
  for (const part of [
    undefined,
    null,
    true,
    {},
    ['a'],
    Number.NaN,
    Number.POSITIVE_INFINITY,
    1n,
    Symbol('a'),
  ]) {
    expect(() => getCacheKey('shop', part as string)).toThrow(InvalidCacheKeyError)
  }
})
