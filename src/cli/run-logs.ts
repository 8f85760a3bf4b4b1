/** `cgk run:logs`: what a run wrote with its logger, over all its attempts; with --follow until it ends. */
import { Command, Option } from 'commander'
import type { RunLogLine } from '../runs/journal/read-lines.ts'
import { TextPrinter } from './log-text.ts'
import { type Jobs, withQueue } from './session.ts'

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
