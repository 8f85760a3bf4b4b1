/**
 * How often somebody may try to sign in, counted in Postgres and so over all processes.
 *
 * Per address: who tries many accounts. Per account and address: who tries one. Per account: who tries one from
 * everywhere; but not from a network that its user has signed in from before, so that nobody can lock a person out of
 * an account by guessing at it. A try that one limit refuses costs nothing at the next.
 */
import { createHash } from 'node:crypto'
import { LoginLimitedError } from '../errors.ts'
import type { AuthDeps } from './deps.ts'

export interface LoginTry {
  email: string
  /** Of the address (network.ts); null: unknown, and all that are unknown count as one. */
  network: string | null
  /** The user of this account has signed in from there. */
  isOwnNetwork: boolean
}

interface Limit {
  /** At once, */
  tries: number
  /** and then one each: */
  everySeconds: number
}

const perNetwork: Limit = { tries: 30, everySeconds: 20 }
const perAccountAndNetwork: Limit = { tries: 5, everySeconds: 60 }
const perAccount: Limit = { tries: 30, everySeconds: 60 }

/**
 * One row says it all: when it will be free again. A try moves that on by what it costs, unless it lies further ahead
 * than all tries but one cost. So nothing has to be counted or reset.
 */
const spendSql = `
  INSERT INTO public.platform_login_limits AS spent (key, free_at) VALUES ($1, $2::timestamptz + $3::interval)
  ON CONFLICT (key) DO UPDATE SET free_at = greatest(spent.free_at, $2) + $3::interval
  WHERE spent.free_at <= $2 + $3::interval * ($4::int - 1)`

/** @throws LoginLimitedError. */
export async function spendLoginTry(
  auth: AuthDeps,
  { email, network, isOwnNetwork }: LoginTry,
): Promise<void> {
  await sweep(auth)
  if (network !== null) await spend(auth, networkKey(network), perNetwork)
  await spend(auth, pairKey(email, network), perAccountAndNetwork)
  if (!isOwnNetwork) await spend(auth, accountKey(email), perAccount)
}

/** Who has proved to be the user owes nothing; other accounts tried from there stay counted. */
export async function forgiveLoginTries(auth: AuthDeps, { email, network }: LoginTry): Promise<void> {
  const keys = [pairKey(email, network), accountKey(email)]
  await auth.database.query('DELETE FROM public.platform_login_limits WHERE key = ANY ($1)', [keys])
}

async function spend(auth: AuthDeps, key: Buffer, { tries, everySeconds }: Limit): Promise<void> {
  const values = [key, auth.now(), `${everySeconds} seconds`, tries]
  const { rowCount } = await auth.database.query(spendSql, values)
  if (rowCount === 0) throw new LoginLimitedError(everySeconds)
}

/** A try makes three rows at most, and takes away more that say nothing any more. Index: free_at. */
async function sweep(auth: AuthDeps): Promise<void> {
  await auth.database.query(
    `DELETE FROM public.platform_login_limits WHERE key IN (
       SELECT key FROM public.platform_login_limits WHERE free_at < $1
       ORDER BY free_at LIMIT 10 FOR UPDATE SKIP LOCKED
     )`,
    [auth.now()],
  )
}

const networkKey = (network: string) => keyOf('network', network)
const pairKey = (email: string, network: string | null) => keyOf('pair', email, network)
const accountKey = (email: string) => keyOf('account', email)

function keyOf(...parts: (string | null)[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest()
}
