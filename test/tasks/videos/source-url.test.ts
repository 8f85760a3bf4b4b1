import { expect, test } from 'vitest'
import { isSameSource, sourceUrl } from '../../../tasks/videos/source-url.ts'

const problem = (text: unknown) => sourceUrl.safeParse(text).error?.issues[0]?.message

test.each([
  'https://cdn.example.com/a/b.mp4?signature=x%2Fy',
  'https://localhost.example.com/a.mp4',
  'https://internal.example.com/a.mp4',
  'https://example.com:8443/a.mp4',
  'https://8.8.8.8/a.mp4',
  'https://172.32.0.1/a.mp4',
  'https://172.15.255.255/a.mp4',
  'https://100.128.0.1/a.mp4',
  'https://223.255.255.255/a.mp4',
  'https://[2606:4700::1111]/a.mp4',
  'https://[2001:200::1]/a.mp4',
])('%s may be fetched', (text) => {
  expect(sourceUrl.parse(text)).toBe(text)
})

test.each([
  'http://cdn.example.com/a.mp4',
  'ftp://cdn.example.com/a.mp4',
  'file:///etc/passwd',
  'data:video/mp4;base64,AAAA',
  'javascript:alert(1)',
])('%s is not https', (text) => {
  expect(problem(text)).toBe('must begin with https://')
})

test.each(['https://me@example.com/a', 'https://me:secret@example.com/a', 'https://:secret@example.com/a'])(
  '%s holds credentials',
  (text) => {
    expect(problem(text)).toBe('must not hold a user name or a password')
  },
)

test.each([
  'localhost',
  'localhost.',
  'LOCALHOST',
  'app.localhost',
  'intranet',
  'db',
  'metadata.google.internal',
  'metadata.google.internal.',
  'printer.local',
  'nas.lan',
  'router.home.arpa',
  '127.0.0.1',
  '127.0.0.1.',
  '127.1',
  '2130706433',
  '0x7f000001',
  '0x7f.1',
  '0177.0.0.1',
  '①②⑦.0.0.1',
  '0',
  '0.0.0.0',
  '10.255.255.255',
  '100.64.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.0.0.8',
  '192.0.2.1',
  '192.168.1.1',
  '198.19.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '255.255.255.255',
  '[::]',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::ffff:127.0.0.1]',
  '[::ffff:8.8.8.8]',
  '[::127.0.0.1]',
  '[64:ff9b::7f00:1]',
  '[fc00::1]',
  '[fd12:3456::1]',
  '[fe80::1]',
  '[ff02::1]',
  '[2001::1]',
  '[2001:db8::1]',
  '[2002:7f00:1::]',
  '[3fff::1]',
])('%s is no public host', (host) => {
  expect(problem(`https://${host}/a.mp4`)).toBe('must name a host on the public internet')
})

test('nor is what no URL names', () => {
  for (const text of ['', 'a.mp4', '//example.com/a.mp4', 'https://', 'https://[fe80::1%25eth0]/a']) {
    expect(problem(text)).toBe('not a URL')
  }
  expect(problem(5)).toMatch(/expected string/)
  expect(problem(`https://example.com/${'a'.repeat(2048)}`)).toMatch(/2048/)
})

test('what comes out is what was checked', () => {
  expect(sourceUrl.parse(' https:\\\\EXAMPLE.com\\a\tb.mp4 ')).toBe('https://example.com/ab.mp4')
})

test('a link that was signed anew is of the same source', () => {
  expect(isSameSource('https://a.example/v.mp4?s=1', 'https://a.example/v.mp4?s=2')).toBe(true)
  expect(isSameSource('https://a.example/v.mp4', 'https://a.example/w.mp4')).toBe(false)
  expect(isSameSource('https://a.example/v.mp4', 'https://b.example/v.mp4')).toBe(false)
  expect(isSameSource('v.mp4', 'v.mp4')).toBe(true)
  expect(isSameSource('v.mp4', 'https://a.example/v.mp4')).toBe(false)
})
