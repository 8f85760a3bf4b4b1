/** What waits in memory is bounded, whatever tasks write and however long Postgres is away. */
import { expect, test } from 'vitest'
import { maxLines, maxSize, maxWaitingLines, maxWaitingSize } from '../../src/runs/journal/bounds.ts'
import { LineBuffer } from '../../src/runs/journal/buffer.ts'
import { contentOf, shortenLine } from '../../src/runs/journal/line.ts'

const runOf = (runId: string) => ({ runId, taskId: 't', tenantId: 'shop', attempt: 1 })

function fill(buffer: LineBuffer, runId: string, count: number, json = '{}'): void {
  for (let number = 1; number <= count; number += 1) buffer.add(runOf(runId), 30, new Date(), json)
}

test('of each run the newest lines, and the number of all', () => {
  const buffer = new LineBuffer()
  fill(buffer, 'a', maxLines + 5)
  fill(buffer, 'b', 30, 'x'.repeat(60_000))
  const [a, b] = buffer.takeAll().flat()
  expect([a!.count, a!.lines.length, a!.lines[0]!.number]).toEqual([maxLines + 5, maxLines, 6])
  expect([b!.count, b!.size]).toEqual([30, 1_800_000])
  expect(b!.lines.length).toBe(Math.floor(maxSize / 60_000))
  expect(buffer.isEmpty).toBe(true)
  expect(buffer.takeAll()).toEqual([])
})

test('of all runs together no more than memory has room for; those that wait longest give way', () => {
  const buffer = new LineBuffer()
  const runs = maxWaitingLines / maxLines + 2
  for (let run = 0; run < runs; run += 1) fill(buffer, `run ${run}`, maxLines)
  const written = buffer.takeAll().flat()
  expect(written.map(({ count }) => count)).toEqual(Array(runs).fill(maxLines))
  expect(written.map(({ lines }) => lines.length)).toEqual([0, 0, ...Array(runs - 2).fill(maxLines)])

  for (let run = 0; run < 20; run += 1) fill(buffer, `run ${run}`, 16, 'x'.repeat(60_000))
  const kept = buffer.takeAll().flatMap((batch) => batch.flatMap(({ lines }) => lines))
  const size = kept.reduce((sum, { json }) => sum + json.length, 0)
  expect(size).toBeLessThanOrEqual(maxWaitingSize)
  expect(size).toBeGreaterThan(maxWaitingSize - 60_001)
})

test('batches of about a thousand lines', () => {
  const buffer = new LineBuffer()
  for (let run = 0; run < 10; run += 1) fill(buffer, `run ${run}`, 300)
  expect(buffer.takeAll().map((batch) => batch.length)).toEqual([4, 4, 2])
})

test('a line that is too long waits as its start', () => {
  const json = `${JSON.stringify({ level: 30, msg: 'm', list: 'x'.repeat(200_000) })}\n`
  expect(shortenLine(json).length).toBeLessThan(2_000)
  expect(contentOf(shortenLine(json), runOf('a'))).toMatchObject({ message: 'm' })
  expect(shortenLine('{"msg":"m"}\n')).toBe('{"msg":"m"}\n')
})

test("a line of a logger of the app's own, that is no JSON", () => {
  expect(contentOf('INFO hello\n', runOf('a'))).toEqual({ message: 'INFO hello', fields: '{}' })
  expect(contentOf('5\n', runOf('a'))).toEqual({ message: '5', fields: '{}' })
})
