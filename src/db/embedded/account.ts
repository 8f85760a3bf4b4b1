/**
 * The account Postgres runs as. Postgres refuses to run as root, so root hands it to the system's `postgres` or
 * `nobody` user; where those cannot reach the binaries or the data (a home folder with mode 0700), it runs in a user
 * namespace where root is called nobody. No system user is created. An ordinary user simply runs it.
 */
import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { EmbeddedPostgresError } from '../../errors.ts'

export interface Account {
  /** What stands before the command: empty, or `unshare` and its options. It execs, so the pid stays the child's. */
  prefix: string[]
  /** Only when root becomes another user. */
  user?: { uid: number; gid: number }
}

const SELF: Account = { prefix: [] }
const NAMESPACE: Account = { prefix: ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--'] }

const run = promisify(execFile)

/** `folder` is where the data will live, `dataDir` the data folder in it, which may not exist yet. */
export async function chooseAccount(postgres: string, folder: string, dataDir: string): Promise<Account> {
  const owner = await stat(dataDir).catch(() => undefined)
  if (process.getuid?.() !== 0) {
    if (owner && owner.uid !== process.getuid?.()) throw foreignData(dataDir, owner.uid)
    return SELF
  }
  // Data that exists is only readable for the account that made it.
  const candidates = owner ? [accountOf(owner)] : [...(await unprivilegedUsers()), NAMESPACE]
  for (const account of candidates) {
    if (await canRun(account, postgres, folder)) return account
  }
  throw new EmbeddedPostgresError(
    `Postgres does not run as root, and no other account can run ${postgres} with its data in ${folder}. Start as an ordinary user, or use folders that every user may enter, or set DATABASE_URL.`,
  )
}

/** The command, its arguments and the spawn options that run `file` as the account. */
export function asAccount(account: Account, file: string, args: string[]) {
  const [command, ...rest] = [...account.prefix, file, ...args] as [string, ...string[]]
  // `/`: the current folder may be closed to the account. PG* variables of the caller must not reach Postgres.
  const env = { PATH: '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin', LC_ALL: 'C' }
  return { command, args: rest, options: { cwd: '/', env, ...account.user } }
}

function accountOf({ uid, gid }: { uid: number; gid: number }): Account {
  return uid === 0 ? NAMESPACE : { prefix: [], user: { uid, gid } }
}

async function unprivilegedUsers(): Promise<Account[]> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'))
  return ['postgres', 'nobody'].flatMap((name) => {
    const line = lines.find((fields) => fields[0] === name)
    const uid = Number(line?.[2])
    return line && uid > 0 ? [accountOf({ uid, gid: Number(line[3]) })] : []
  })
}

/** Tried rather than worked out from mode bits: ACLs, mount options and namespaces have a say as well. */
async function canRun(account: Account, postgres: string, folder: string): Promise<boolean> {
  const script = 'cd "$1" && exec "$2" --version'
  const { command, args, options } = asAccount(account, '/bin/sh', ['-c', script, 'sh', folder, postgres])
  return run(command, args, options).then(
    () => true,
    () => false,
  )
}

function foreignData(dataDir: string, uid: number): EmbeddedPostgresError {
  return new EmbeddedPostgresError(
    `The Postgres data in ${dataDir} belongs to the user with id ${uid}, and this process is another user. Start as that user, or use another folder.`,
  )
}
