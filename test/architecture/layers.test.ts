import { globSync, readFileSync } from 'node:fs'
import { join, resolve, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Files, findBreaches } from './rules.ts'

const root = resolve(import.meta.dirname, '../..')

test('every file keeps to the rules', () => {
  const paths = globSync(['src/**/*.ts', 'tasks/**/*.ts', 'test/**/*.ts', '.ci/*.ts'], { cwd: root })
  const files = paths.map((path) => [path.split(sep).join('/'), readFileSync(join(root, path), 'utf8')])

  expect(paths.length).toBeGreaterThan(50)
  expect(findBreaches(Object.fromEntries(files))).toEqual([])
})

describe('a breach is found:', () => {
  const cases: [what: string, files: Files, breach: RegExp | null][] = [
    ['a layer below', { 'src/task/a.ts': "import { b } from '../db/b.ts'", 'src/db/b.ts': '' }, null],
    [
      'a layer above',
      { 'src/db/a.ts': "import { b } from '../task/b.ts'", 'src/task/b.ts': '' },
      /src\/db\/a\.ts .*higher/,
    ],
    [
      'a type of a layer above',
      { 'src/db/a.ts': "import type { B } from '../task/b.ts'", 'src/task/b.ts': '' },
      /higher/,
    ],
    [
      'a type of a layer above, named in place',
      { 'src/db/a.ts': "type A = import('../task/b.ts').B", 'src/task/b.ts': '' },
      /higher/,
    ],
    [
      'a layer above, re-exported',
      { 'src/db/a.ts': "export * from '../task/b.ts'", 'src/task/b.ts': '' },
      /higher/,
    ],
    [
      'a layer above, loaded later',
      { 'src/db/a.ts': "await import('../task/b.ts')", 'src/task/b.ts': '' },
      /higher/,
    ],
    [
      'the composition from below',
      { 'src/runs/a.ts': "import '../platform.ts'", 'src/platform.ts': '' },
      /higher/,
    ],
    [
      'the composition from the top',
      { 'src/http/a.ts': "import '../platform.ts'", 'src/platform.ts': '' },
      null,
    ],
    [
      'the composition of the top',
      { 'src/index.ts': "import './http/a.ts'", 'src/http/a.ts': '' },
      /a lower layer/,
    ],
    [
      'the console, by its neighbour',
      { 'src/http/a.ts': "import '../console/b.ts'", 'src/console/b.ts': '' },
      /nothing/,
    ],
    ['the CLI within the CLI', { 'src/cli/a.ts': "import './b.ts'", 'src/cli/b.ts': '' }, null],
    ['what lies outside src', { 'src/cli/a.ts': "import '../../test/b.ts'", 'test/b.ts': '' }, /outside/],
    ['itself by its name', { 'src/cli/a.ts': "import '@cgk-platform/jobs/testing'" }, /own files/],
    ['a file that is not there', { 'src/db/a.ts': "import './b.ts'" }, /no such file/],
    ['a new folder without a layer', { 'src/queues/a.ts': '' }, /no layer/],

    ['pg-boss in its engine', { 'src/engines/pg-boss/a.ts': "import 'pg-boss'" }, null],
    [
      'pg-boss elsewhere',
      { 'src/runs/a.ts': "import { PgBoss } from 'pg-boss'" },
      /only src\/engines\/pg-boss\//,
    ],
    ["pg-boss's types elsewhere", { 'src/runs/a.ts': "import type { Job } from 'pg-boss'" }, /only/],
    ['the Trigger.dev SDK elsewhere', { 'src/task/a.ts': "import '@trigger.dev/sdk/v3'" }, /only/],
    ['a service SDK in its file', { 'src/services/stripe.ts': "import Stripe from 'stripe'" }, null],
    ["a service SDK in another's", { 'src/services/mux.ts': "import Stripe from 'stripe'" }, /only/],

    ['a task that imports the API', { 'tasks/a/b.ts': "import 'zod'\nimport '@cgk-platform/jobs'" }, null],
    [
      'a task that imports src',
      { 'tasks/a/b.ts': "import '../../src/db/c.ts'", 'src/db/c.ts': '' },
      /public API/,
    ],
    ['a task that imports Node', { 'tasks/a/b.ts': "import 'node:fs'" }, /public API/],
    [
      'a task that imports a test kit',
      { 'tasks/a/b.ts': "import '@cgk-platform/jobs/testing'" },
      /public API/,
    ],

    [
      'the file that Trigger.dev discovers',
      { 'tasks/index.trigger.ts': "import '@cgk-platform/jobs/trigger'" },
      null,
    ],
    [
      'a task that knows Trigger.dev',
      { 'tasks/a/b.ts': "import '@cgk-platform/jobs/trigger'" },
      /public API/,
    ],

    [
      'a circle',
      {
        'src/db/a.ts': "import './b.ts'",
        'src/db/b.ts': "import './c.ts'",
        'src/db/c.ts': "import './a.ts'",
      },
      /circle of imports: src\/db\/a\.ts -> src\/db\/b\.ts -> src\/db\/c\.ts -> src\/db\/a\.ts/,
    ],
    [
      'a circle closed by a type',
      { 'src/db/a.ts': "import './b.ts'", 'src/db/b.ts': "import type { A } from './a.ts'" },
      null,
    ],
    [
      'a circle closed by a type within braces, which loads the file',
      { 'src/db/a.ts': "import './b.ts'", 'src/db/b.ts': "import { type A } from './a.ts'" },
      /circle/,
    ],

    ['the environment in config', { 'src/config.ts': 'process.env.A' }, null],
    ['the environment elsewhere', { 'src/db/a.ts': 'const { A } = process.env' }, /reads process\.env/],
    ['the environment in quotes', { 'src/db/a.ts': "process['env']" }, /reads process\.env/],
    [
      'the environment by import',
      { 'src/db/a.ts': "import { env } from 'node:process'" },
      /reads process\.env/,
    ],
    ['the environment in a comment', { 'src/db/a.ts': '// process.env' }, null],

    ['a file name that says nothing', { 'src/db/utils.ts': '' }, /"utils" says nothing/],
    ['a test name that says nothing', { 'test/db/helpers.test.ts': '' }, /"helpers" says nothing/],
    ['a folder name that says nothing', { 'src/db/common/a.ts': '' }, /"common" says nothing/],
  ]

  test.each(cases)('%s', (_, files, breach) => {
    const found = findBreaches(files)
    if (breach === null) expect(found).toEqual([])
    else expect(found).toEqual([expect.stringMatching(breach)])
  })
})
