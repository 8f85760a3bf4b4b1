/** Three rounds of every side in turn, medians, and whether the target was met. */
import { createTestDatabase } from '../../src/testing/database.ts'

export interface BenchmarkServer {
  url: string
  adminUrl: string
}

/** One way of doing the work. A number per round: rates count up, times count down. */
export type Side = () => Promise<number>

export interface Benchmark {
  name: string
  /** What is compared with what. */
  question: string
  unit: string
  /** Each target compares ours with another side. `ratio` is ours to theirs as it should be read. */
  targets: { ours: string; theirs: string; atLeast?: number; atMost?: number }[]
  /** What a side may cost at most, in its unit, where there is nothing to compare it with. */
  limits?: { side: string; atMost: number }[]
  /** Makes what the sides need in a database of their own. */
  prepare(databaseUrl: string): Promise<{ sides: Record<string, Side>; close(): Promise<void> }>
}

export type Medians = Record<string, number>

const rounds = 3

export async function measure(benchmark: Benchmark, server: BenchmarkServer): Promise<Medians> {
  const database = await createTestDatabase({ serverUrl: server.url })
  const { sides, close } = await benchmark.prepare(database.url)
  try {
    const results = new Map<string, number[]>(Object.keys(sides).map((label) => [label, []]))
    for (let round = 0; round < rounds; round += 1) {
      for (const [label, side] of Object.entries(sides)) results.get(label)!.push(await side())
    }
    return Object.fromEntries([...results].map(([label, values]) => [label, median(values)]))
  } finally {
    await close()
    await database.drop()
  }
}

/** Prints a benchmark's medians and ratios; false when a target was missed. */
export function report(benchmark: Benchmark, medians: Medians): boolean {
  console.log(`${benchmark.name}: ${benchmark.question}`)
  for (const [label, value] of Object.entries(medians)) {
    console.log(`  ${label.padEnd(44)} ${format(value).padStart(10)} ${benchmark.unit}`)
  }
  let met = true
  for (const { ours, theirs, atLeast, atMost } of benchmark.targets) {
    const ratio = medians[ours]! / medians[theirs]!
    const fine = ratio >= (atLeast ?? 0) && ratio <= (atMost ?? Number.POSITIVE_INFINITY)
    const target =
      atLeast === undefined && atMost === undefined
        ? ''
        : `, target ${atLeast === undefined ? `at most ${atMost}x` : `at least ${atLeast}x`}: ${fine ? 'met' : 'MISSED'}`
    console.log(`  ${ours} / ${theirs}: ${ratio.toFixed(2)}x${target}`)
    met &&= fine
  }
  for (const { side, atMost } of benchmark.limits ?? []) {
    const fine = medians[side]! <= atMost
    console.log(`  ${side}: at most ${atMost} ${benchmark.unit}: ${fine ? 'met' : 'MISSED'}`)
    met &&= fine
  }
  console.log()
  return met
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[sorted.length >> 1]!
}

/** Calls `work` `times` times with `callers` under way at once. Answers how many a second. */
export async function rate(
  times: number,
  callers: number,
  work: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0
  const started = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < times) {
        const index = next
        next += 1
        await work(index)
      }
    }),
  )
  return times / ((performance.now() - started) / 1000)
}

function format(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toFixed(2)
}
