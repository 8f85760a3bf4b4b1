import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { describeFailure } from '../../src/runs/fingerprint.ts'
import type { RunError } from '../../src/task/json.ts'

const error = (message: string, more: Partial<RunError> = {}): RunError => ({
  name: 'Error',
  code: null,
  message,
  stack: null,
  ...more,
})
const messageOf = (message: string) => describeFailure('orders/sync', error(message)).message
const frameOf = (...lines: string[]) =>
  describeFailure('orders/sync', error('x', { stack: ['Error: x', ...lines].join('\n') })).frame

describe('a message', () => {
  test.each([
    ['Order 4711 was refused', 'Order <number> was refused'],
    ['took 1,204.5 ms, 12ms too long', 'took <number> ms, <id> too long'],
    ['No order order_4711 of cus_NffrFeUfNV2Hib', 'No order <id> of <id>'],
    ['run 3994a081-ab72-4e62-ba92-5d74112847cc is gone', 'run <uuid> is gone'],
    ['GET https://api.example.com/v1/orders/7?key=a: 500', 'GET <url>: <number>'],
    ['connect postgres://jobs@db-3:5432/app', 'connect <url>'],
    ['No account for ada.love+x@example.co.uk here', 'No account for <email> here'],
    [
      'the field "colour" and \'size\' and `x` are missing',
      'the field <value> and <value> and <value> are missing',
    ],
    ["it can't be, it's Ada's", "it can't be, it's Ada's"],
    ['since 2026-11-23T13:57:55.001Z until 2026-11-24', 'since <time> until <time>'],
    ['connect ECONNREFUSED 127.0.0.1:5432', 'connect ECONNREFUSED <number>:<number>'],
    ['bad token eyJhbGciOiJIUzI1NiJ9', 'bad token <id>'],
    ['hash abcdefabcdefabcdefabcdefabcdefabcdef', 'hash <id>'],
    ['deadbeef at 0x7ffe', 'deadbeef at <id>'],
    ['two\n   lines\tand a tab', 'two lines and a tab'],
    ['balance is -12.50 EUR', 'balance is <number> EUR'],
    ['', ''],
    ['plain words stay', 'plain words stay'],
  ])('%j becomes %j', (message, normalised) => {
    expect(messageOf(message)).toBe(normalised)
  })

  test('is kept to 500 characters, without half a character', () => {
    expect(messageOf('word '.repeat(1_000))).toHaveLength(500)
    expect(messageOf(`${'a '.repeat(249)}a😀`).isWellFormed()).toBe(true)
  })

  test('of megabytes costs no time', () => {
    const started = performance.now()
    for (const text of ['"', "'", 'a1', '<', '@', '.', '-', ' ', 'a.b@']) messageOf(text.repeat(1_000_000))
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

describe('the first own frame', () => {
  const platform = fileURLToPath(new URL('../../src/task/execute.ts', import.meta.url))

  test.each([
    ['    at charge (/srv/app/tasks/orders/charge.ts:10:5)', 'charge (tasks/orders/charge.ts)'],
    ['    at async charge (file:///srv/app/tasks/orders/charge.ts:10:5)', 'charge (tasks/orders/charge.ts)'],
    ['    at Object.run (/app/tasks/orders/charge.ts:1:1)', 'run (tasks/orders/charge.ts)'],
    ['    at new Invoice (/app/lib/invoice.js:3:9)', 'Invoice (app/lib/invoice.js)'],
    ['    at Invoice.send [as go] (/app/lib/invoice.js:3:9)', 'Invoice.send (app/lib/invoice.js)'],
    ['    at /app/tasks/orders/charge.ts:10:5', 'anonymous (tasks/orders/charge.ts)'],
    ['    at charge (C:\\app\\tasks\\orders\\charge.ts:10:5)', 'charge (tasks/orders/charge.ts)'],
    ['    at <anonymous>', null],
    ['    at node:internal/timers:5:1', null],
    ['    at get (/app/node_modules/stripe/lib/net.js:1:1)', null],
    ['    at execute (/x/node_modules/@cgk-platform/jobs/dist/task/execute.js:1:1)', null],
    [`    at execute (${platform}:1:1)`, null],
  ])('%s', (line, frame) => {
    expect(frameOf('    at parse (node:internal/url:1:2)', line)).toBe(frame)
  })

  test('is the first of several, and lines within a file do not count', () => {
    const library = '    at get (/app/node_modules/stripe/lib/net.js:1:1)'
    const deeper = frameOf(
      library,
      '    at pay (/app/tasks/pay.ts:10:5)',
      '    at run (/app/tasks/all.ts:1:1)',
    )
    expect(deeper).toBe('pay (app/tasks/pay.ts)')
    expect(frameOf('    at pay (/app/tasks/pay.ts:99:1)')).toBe(deeper)
  })
})

describe('a fingerprint', () => {
  const stack = 'Error: x\n    at pay (/app/tasks/pay.ts:1:1)'
  const one = describeFailure('orders/sync', error('Order 1 was refused', { code: 'E_CARD', stack }))
  const same = (taskId: string, message: string, more: Partial<RunError>) =>
    describeFailure(taskId, error(message, { code: 'E_CARD', stack, ...more })).fingerprint ===
    one.fingerprint

  test('is one for what differs in values, lines and the place of the app', () => {
    expect(one.fingerprint).toMatch(/^[0-9a-f]{20}$/)
    expect(same('orders/sync', 'Order 22 was refused', {})).toBe(true)
    const elsewhere = 'Error: y\n    at pay (/srv/2/app/tasks/pay.ts:7:3)'
    expect(same('orders/sync', 'Order 22 was refused', { stack: elsewhere })).toBe(true)
  })

  test.each<[string, string, string, Partial<RunError>]>([
    ['another task', 'orders/cancel', 'Order 1 was refused', {}],
    ['another code', 'orders/sync', 'Order 1 was refused', { code: 'E_FUNDS' }],
    ['another name', 'orders/sync', 'Order 1 was refused', { name: 'CardError' }],
    ['other words', 'orders/sync', 'Order 1 was lost', {}],
    ['another place', 'orders/sync', 'Order 1 was refused', { stack: null }],
  ])('is another one for %s', (_, taskId, message, more) => {
    expect(same(taskId, message, more)).toBe(false)
  })
})
