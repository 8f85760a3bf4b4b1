/** `cgk run:show`: one run, with its failed attempts and what it has told of itself. */
import { Command } from 'commander'
import { maskRuns } from './mask-runs.ts'
import { printJson } from './print.ts'
import { printRun, type ToldByRun } from './run-text.ts'
import { type Jobs, withQueue } from './session.ts'

const shownLines = 10

export const runShow = new Command('run:show')
  .description(
    'show a run: state, what triggered it, payload, output, failed attempts, progress, last log lines',
  )
  .argument('<id>', 'id of the run')
  .option('--reveal', 'payload and output whole; otherwise what is marked in the schema is masked')
  .option('--json', 'print JSON: the run, with attempts, progress and lines')
  .action(async (id: string, { reveal, json }: { reveal?: true; json?: true }) => {
    await withQueue(async (jobs, platform) => {
      const whole = await jobs.runs.get(id)
      const [run] = reveal ? [whole] : await maskRuns(platform, [whole])
      const told = await readTold(jobs, whole.id)
      if (json) printJson({ ...run!, ...told })
      else printRun(run!, told)
    })
  })

/** Those that are new, for they say how it ended. */
async function readTold({ runs }: Jobs, id: string): Promise<ToldByRun> {
  const [progress, { written }] = await Promise.all([runs.progress(id), runs.logs(id, { limit: 1 })])
  const { lines } = await runs.logs(id, { after: Math.max(0, written - shownLines), limit: shownLines })
  return { progress, lines }
}
