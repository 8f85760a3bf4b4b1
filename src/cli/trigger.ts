/** `cgk trigger`: queues a run of a task, and can wait for its end. */
import { Command } from 'commander'
import { InvalidPayloadError, InvalidTriggerOptionsError } from '../errors.ts'
import type { TriggerOptions } from '../task/options.ts'
import type { TaskId } from '../task/registry.ts'
import { repeated, wholeNumber } from './arguments.ts'
import { printJson } from './print.ts'
import { printRun } from './run-text.ts'
import { withQueue } from './session.ts'

interface Options {
  payload: string
  wait?: true
  timeout?: string
  json?: true
  delay?: string
  runAt?: string
  priority?: number
  ttl?: string
  tag?: string[]
  idempotencyKey?: string
  maxAttempts?: number
}

export const trigger = new Command('trigger')
  .description('queue a run of a task and print its id')
  .argument('<task>', 'id of the task, for example orders/process-order')
  .requiredOption('--payload <json>', 'the payload, with its tenantId')
  .option('--wait', 'wait for the end of the run and print it; exit 1 if it did not complete')
  .option(
    '--timeout <duration>',
    'with --wait: give up waiting after this long, 10m by default; the run goes on',
  )
  .option('--delay <duration>', 'start after this long: 30s, 2h, 7d')
  .option('--run-at <time>', 'start at this time (ISO 8601)')
  .option('--priority <n>', 'higher runs first; 0 by default', wholeNumber)
  .option('--ttl <duration>', 'expire if it has not started this long after it could have')
  .option('--tag <text>', 'to find the run by; repeatable', repeated)
  .option('--idempotency-key <text>', 'the same key answers the same run')
  .option('--max-attempts <n>', "instead of the task's own", wholeNumber)
  .option('--json', 'print JSON')
  .action(async (taskId: string, options: Options, command: Command) => {
    if (options.timeout !== undefined && !options.wait) command.error('error: --timeout needs --wait')
    const payload = parsePayload(taskId, options.payload)
    await withQueue(async ({ tasks, runs }) => {
      // Before the trigger: what is refused has queued nothing.
      const timeout = await readTimeout(options.timeout ?? '10m')
      const { id } = await tasks.trigger(taskId as TaskId, payload as never, triggerOptions(options))
      if (!options.wait) return options.json ? printJson({ id }) : console.log(id)
      // Known before the wait, should the wait be cut off.
      if (!options.json) console.error(`Waiting for run ${id}`)
      await runs.wait(id, { timeout })
      const run = await runs.get(id)
      if (options.json) printJson(run)
      else printRun(run)
      if (run.state !== 'completed') process.exitCode = 1
    })
  })

function parsePayload(taskId: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    const message = `--payload is not JSON${place(String(error))}. Quote it for the shell: --payload '{"tenantId":"..."}'`
    throw new InvalidPayloadError(taskId, [{ path: '', message }])
  }
}

/** V8's own message quotes the text, and a payload is nobody's business but the run's. */
function place(message: string): string {
  if (message.includes('Unexpected end')) return ': it ends too early'
  const position = /at position (\d+)/.exec(message)?.[1]
  return position === undefined ? '' : `: look at character ${Number(position) + 1}`
}

async function readTimeout(text: string): Promise<number> {
  const { parseDuration } = await import('../task/duration.ts')
  const timeoutMs = parseDuration(text, 1)
  if (timeoutMs === null) throw new InvalidTriggerOptionsError('--timeout must be a duration like 30s or 5m.')
  return timeoutMs
}

function triggerOptions(options: Options): TriggerOptions {
  const { delay, runAt, priority, ttl, tag: tags, idempotencyKey, maxAttempts } = options
  const given = { delay, runAt, priority, ttl, tags, idempotencyKey, maxAttempts }
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  ) as TriggerOptions
}
