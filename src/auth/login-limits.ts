/**
 * How often somebody may try to sign in, counted in Postgres and so over all processes.
 *
 * A browser that its user has signed in with before (device-cookie.ts) has tries of its own at that account, whoever
 * else tries and from wherever. All others are strangers: they are limited per address, for who tries many accounts; per
 * account and address, for who tries one; and per account, for who tries one from everywhere. A network that its user
 * has signed in from before does not count at the last. Where no address is known, only the last is left.
 *
 * So a stranger has 30 guesses at an account and then one a minute, however many addresses they have, and locks its
 * user out of no browser and no network that the user comes from. Out of a new browser in a new network they do, for as
 * long as they go on and a minute longer: nothing tells those two apart, and more guesses would be the price. A try
 * that one limit refuses costs nothing at the next.
 */
import { createHash } from 'node:crypto'
import { LoginLimitedError } from '../errors.ts'
import type { AuthDeps } from './deps.ts'

export interface LoginTry {
  email: string
  /** Which browser of the user's it is, as its device cookie or an open session shows; null: a stranger's. */
  browser: string | null
  /** Of the address (network.ts); null: unknown. */
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
const perBrowser: Limit = { tries: 5, everySeconds: 60 }
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
  { email, browser, network, isOwnNetwork }: LoginTry,
): Promise<void> {
  await sweep(auth)
  if (browser !== null) return await spend(auth, browserKey(email, browser), perBrowser)
  if (network !== null) {
    await spend(auth, networkKey(network), perNetwork)
    await spend(auth, pairKey(email, network), perAccountAndNetwork)
  }
  if (!isOwnNetwork) await spend(auth, accountKey(email), perAccount)
}

/**
 * Who has proved to be the user owes nothing. Other accounts tried from there stay counted; so does, where it is a
 * browser of theirs, what strangers have tried.
 */
export async function forgiveLoginTries(
  auth: AuthDeps,
  { email, browser, network }: LoginTry,
): Promise<void> {
  const strangers = [accountKey(email), ...(network === null ? [] : [pairKey(email, network)])]
  const keys = browser === null ? strangers : [browserKey(email, browser)]
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
const pairKey = (email: string, network: string) => keyOf('pair', email, network)
const browserKey = (email: string, browser: string) => keyOf('browser', email, browser)
const accountKey = (email: string) => keyOf('account', email)

function keyOf(...parts: string[]): Buffer {
  return createHash('sha256').update(JSON.stringify(parts)).digest()
}
