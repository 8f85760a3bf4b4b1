import { describe, expect, it } from 'vitest'
import { InvalidTenantSlugError } from '../../src/errors.ts'
import { maxSlugLength, parseSlug, schemaName, slugFromName } from '../../src/tenants/slug.ts'
import { parseTimezone } from '../../src/tenants/timezone.ts'

describe('parseSlug', () => {
  it.each(['a', 'rawdog', 'my_brand_2', 'a'.repeat(48)])('takes %s', (slug) => {
    expect(parseSlug(slug)).toBe(slug)
  })

  it.each([
    '',
    'A',
    '1brand',
    '_brand',
    'my-brand',
    'my brand',
    'brand\n',
    'café',
    'a'.repeat(49),
    'x"; DROP SCHEMA public; --',
    '3f2b8c1e-0000-4000-8000-000000000000',
    null,
    undefined,
    7,
    ['rawdog'],
  ])('refuses %j', (slug) => {
    expect(() => parseSlug(slug)).toThrow(InvalidTenantSlugError)
  })

  it('names the schema', () => {
    expect(schemaName('rawdog')).toBe('tenant_rawdog')
  })
})

describe('slugFromName', () => {
  it.each([
    ['My Brand', 'my_brand'],
    ['  Café Zürich!  ', 'cafe_zurich'],
    ["Joe's Diner & Bar", 'joes_diner_bar'],
    ['Straße Øst Łódź', 'strasse_ost_lodz'],
    ['3M', 't_3m'],
    ['A__b--C', 'a_b_c'],
    ['Ｆｕｌｌ Ｗｉｄｔｈ', 'full_width'],
    ['日本 Tokyo', 'tokyo'],
  ])('%s is %s', (name, slug) => {
    expect(slugFromName(name)).toBe(slug)
    expect(parseSlug(slugFromName(name))).toBe(slug)
  })

  it('cuts at 48 characters, and not behind an underscore', () => {
    expect(slugFromName('x'.repeat(60))).toHaveLength(maxSlugLength)
    expect(slugFromName(`${'x'.repeat(47)} rest`)).toBe('x'.repeat(47))
    expect(slugFromName(`9${'x'.repeat(60)}`)).toHaveLength(maxSlugLength)
  })

  it.each(['', '   ', '!!!', '日本'])('refuses %j, of which nothing is left', (name) => {
    expect(() => slugFromName(name)).toThrow(InvalidTenantSlugError)
  })
})

describe('parseTimezone', () => {
  it.each(['UTC', 'Europe/Berlin', 'America/Argentina/Buenos_Aires'])('takes %s', (name) => {
    expect(parseTimezone(name)).toBe(name)
  })

  it.each(['', 'Mars/Olympus', '+02:00', 'Europe/Berlin; DROP'])('refuses %j', (name) => {
    expect(() => parseTimezone(name)).toThrow(/not a time zone/)
  })
})
