/** `cgk run:logs`: what a run wrote with its logger, over all its attempts; with --follow until it ends. */
import { Command, Option } from 'commander'
import type { RunLogLine } from '../runs/journal/read-lines.ts'
import { plural } from './print.ts'
import { type Jobs, withQueue } from './session.ts'
import { plain } from './table.ts'

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal']

interface Options {
  follow?: true
  level: string
  json?: true
}

export const runLogs = new Command('run:logs')
  .description('show what a run has logged, the newest thousand lines')
  .argument('<id>', 'id of the run')
  .option('--follow', 'go on until the run has ended; exit 1 if it did not complete')
  .addOption(
    new Option('--level <name>', 'only lines of this level and above').choices(levels).default('trace'),
  )
  .option('--json', 'print one JSON object a line')
  .action(async (id: string, { follow, level, json }: Options) => {
    await withQueue(async (jobs) => {
      const printer = json ? new JsonPrinter() : new TextPrinter()
      for await (const line of follow ? jobs.runs.followLogs(id) : allLines(jobs, id)) {
        printer.gapBefore(line)
        if (isAtLeast(line.level, level)) printer.line(line)
      }
      if (follow && (await jobs.runs.get(id)).state !== 'completed') process.exitCode = 1
    })
  })

async function* allLines({ runs }: Jobs, id: string): AsyncGenerator<RunLogLine> {
  for (let after: number | null = 0; after !== null; ) {
    const page = await runs.logs(id, { after })
    yield* page.lines
    after = page.next
  }
}

/** Levels of an app's own are numbers that only the app can tell. */
function isAtLeast(level: string, least: string): boolean {
  return !levels.includes(level) || levels.indexOf(level) >= levels.indexOf(least)
}

/** `seq` tells whoever reads the objects what is missing. */
class JsonPrinter {
  gapBefore(): void {}

  line(line: RunLogLine): void {
    console.log(JSON.stringify(line))
  }
}

class TextPrinter {
  #seq = 0
  #attempt = 1

  gapBefore({ seq }: RunLogLine): void {
    const missing = seq - this.#seq - 1
    this.#seq = seq
    if (missing > 0) console.log(`(${plural(missing, 'line')} not kept)`)
  }

  /** `2026-11-23 13:57:55.123Z info  Fetched a page  page=3` */
  line({ attempt, at, level, message, fields }: RunLogLine): void {
    if (attempt !== this.#attempt) console.log(`Attempt ${attempt}:`)
    this.#attempt = attempt
    const { err, ...others } = fields
    const time = `${at.toISOString().slice(0, 23).replace('T', ' ')}Z`
    const named = Object.entries(others).map(
      ([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
    )
    console.log(plain(`${time} ${level.padEnd(5)} ${[message, ...named].filter(Boolean).join('  ')}`))
    for (const text of errorLines(err)) console.log(`  ${plain(text)}`)
  }
}

function errorLines(err: unknown): string[] {
  if (err === undefined) return []
  const stack = typeof err === 'object' && err !== null && 'stack' in err ? err.stack : undefined
  return typeof stack === 'string' ? stack.split('\n') : [JSON.stringify(err)]
}
