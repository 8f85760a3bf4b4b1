/**
 * Hashing passwords: argon2id, in the PHC format, with the parameters that OWASP recommends.
 *
 * `@node-rs/argon2` hashes off the event loop and comes prebuilt for Node 22 and later. `crypto.argon2` of Node itself
 * needs 24.7, and hash-wasm would stop the event loop for as long as a hash takes.
 */
import pLimit, { type LimitFunction } from 'p-limit'
import { PasswordsBusyError } from '../errors.ts'

/** 19 MiB for each hash. */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const
export interface PasswordLimits {
  /** Of the four threads that Node has for such work; files and host names need some, too. */
  atOnce: number
  /** Some two seconds of work. Whoever comes later is told so, rather than kept waiting. */
  waiting: number
}

export class Passwords {
  readonly #inOrder: LimitFunction
  readonly #waiting: number

  constructor({ atOnce, waiting }: PasswordLimits = { atOnce: 2, waiting: 64 }) {
    this.#inOrder = pLimit(atOnce)
    this.#waiting = waiting
  }

  /** @throws PasswordsBusyError. */
  async hash(password: string): Promise<string> {
    return await this.#inTurn(async ({ hash }) => await hash(password, cost))
  }

  /**
   * With no hash to compare with, false, after as much work: how long it takes tells nobody that there is no account.
   *
   * @throws PasswordsBusyError.
   */
  async verify(stored: string | null, password: string): Promise<boolean> {
    return await this.#inTurn(async ({ hash, verify }) => {
      if (stored !== null) return await verify(stored, password)
      await hash(password, cost)
      return false
    })
  }

  /** Was it made with other parameters than those of today? */
  async isOutdated(stored: string): Promise<boolean> {
    const { parseOptions } = await loadArgon2()
    const { memoryCost, timeCost, parallelism } = parseOptions(stored)
    return (
      !stored.startsWith('$argon2id$') ||
      memoryCost !== cost.memoryCost ||
      timeCost !== cost.timeCost ||
      parallelism !== cost.parallelism
    )
  }

  async #inTurn<T>(work: (argon2: Argon2) => Promise<T>): Promise<T> {
    if (this.#inOrder.pendingCount >= this.#waiting) throw new PasswordsBusyError()
    return await this.#inOrder(async () => await work(await loadArgon2()))
  }
}

type Argon2 = typeof import('@node-rs/argon2')

/** Native code, for those only who use passwords. */
async function loadArgon2(): Promise<Argon2> {
  return await import('@node-rs/argon2')
}
