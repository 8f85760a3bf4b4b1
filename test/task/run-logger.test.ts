/** What is handed on, whoever made the logger and wherever its lines go. */
import { createRequire } from 'node:module'
import { type Logger, pino } from 'pino'
import { expect, test } from 'vitest'
import { handOnLines } from '../../src/task/run-logger.ts'

const read = (lines: string[]) => lines.map((line) => JSON.parse(line).msg)

/** Another copy of pino, with symbols of its own, as an app's node_modules may have one. */
function anotherPino(): typeof pino {
  const require = createRequire(import.meta.url)
  const isPino = (path: string) => /node_modules\/pino\//.test(path)
  const kept = Object.entries(require.cache).filter(([path]) => isPino(path))
  for (const [path] of kept) delete require.cache[path]
  try {
    return require('pino').pino
  } finally {
    for (const path of Object.keys(require.cache).filter(isPino)) delete require.cache[path]
    for (const [path, module] of kept) require.cache[path] = module
  }
}

test('lines of a logger and of its children, at their levels, and not those of its parent', () => {
  const [printed, handed]: [string[], [number, string][]] = [[], []]
  const parent = pino({ level: 'info' }, { write: (line) => void printed.push(line) })
  const logger = handOnLines(parent.child({ run: 1 }), (level, json) => handed.push([level, json]))
  parent.info('of the parent')
  logger.debug('too low')
  logger.info('own')
  logger.child({}).child({}).error('of a grandchild')
  expect(read(printed)).toEqual(['of the parent', 'own', 'of a grandchild'])
  expect(handed.map(([level]) => level)).toEqual([30, 50])
  expect(read(handed.map(([, json]) => json))).toEqual(['own', 'of a grandchild'])
})

test('a logger of another copy of pino', () => {
  const other = anotherPino()
  expect(other.symbols.streamSym).not.toBe(pino.symbols.streamSym)
  const [printed, handed]: [string[], string[]] = [[], []]
  const logger = other({}, { write: (line) => void printed.push(line) }).child({})
  handOnLines(logger as Logger, (_, json) => handed.push(json)).warn('there')
  expect(read(printed)).toEqual(['there'])
  expect(handed).toEqual(printed)
})

test('a destination that goes by levels, and one that is flushed', () => {
  const [low, high]: [string[], string[]] = [[], []]
  const streams = [
    { level: 'info', stream: { write: (line: string) => void low.push(line) } },
    { level: 'error', stream: { write: (line: string) => void high.push(line) } },
  ] as const
  const multi = handOnLines(pino({}, pino.multistream([...streams])).child({}), () => {})
  multi.info('low')
  multi.error('high')
  expect([read(low), read(high)]).toEqual([['low', 'high'], ['high']])

  const flushed: string[] = []
  const stream = {
    write: () => {},
    flush: (done?: () => void) => {
      flushed.push('flush')
      done?.()
    },
    flushSync: () => void flushed.push('flushSync'),
  }
  const logger = handOnLines(pino({}, stream).child({}), () => {})
  logger.flush()
  logger.fatal('the last')
  expect(flushed).toEqual(['flush', 'flushSync'])
  const plain = handOnLines(pino({}, { write: () => {} }).child({}), () => {})
  plain.flush(() => flushed.push('done'))
  plain.fatal('the last')
  expect(flushed.at(-1)).toBe('done')
})

test('what is no pino stays as it is', () => {
  const logger = { info: () => {} } as unknown as Logger
  expect(handOnLines(logger, () => {})).toBe(logger)
})
