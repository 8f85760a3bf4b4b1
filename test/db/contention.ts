/**
 * Random work in many contexts at once: reads, writes, transactions, nested ones, errors, cancellations, and waits of
 * random length in between. Every row carries its tenant and every read checks it; a ledger beside the database counts
 * what was committed, so a row that went astray, came twice or got lost is found however it happened.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Database } from '../../src/db/database.ts'
import { rejection, sqlState } from './tenants.ts'

export interface Contention {
  database: Database
  slugs: readonly string[]
  contexts: number
  seed: number
}

interface Entry {
  notes: number
  amount: number
}

/** What the tenants have, by what their contexts were told. */
export class Ledger {
  readonly #entries = new Map<string, Entry>()
  /** How often each kind of step was taken to its end. */
  readonly steps = new Map<string, number>()

  of(slug: string): Entry {
    const entry = this.#entries.get(slug) ?? { notes: 0, amount: 0 }
    this.#entries.set(slug, entry)
    return entry
  }

  count(step: string): void {
    this.steps.set(step, (this.steps.get(step) ?? 0) + 1)
  }

  /** Reads every tenant's tables as the platform, and compares. */
  async check(database: Database, slugs: readonly string[]): Promise<void> {
    for (const slug of slugs) {
      const { rows } = await database.query(
        `SELECT (SELECT count(*)::int FROM tenant_${slug}.notes) AS notes,
          (SELECT coalesce(sum(amount), 0)::int FROM tenant_${slug}.balance) AS amount,
          (SELECT count(*)::int FROM tenant_${slug}.notes WHERE tenant <> $1) +
          (SELECT count(*)::int FROM tenant_${slug}.balance WHERE tenant <> $1) AS foreign`,
        [slug],
      )
      expect({ slug, ...rows[0] }).toEqual({ slug, ...this.of(slug), foreign: 0 })
    }
  }
}

export async function contend(options: Contention, ledger: Ledger): Promise<void> {
  const random = mulberry32(options.seed)
  const contexts = Array.from({ length: options.contexts }, () => {
    const slug = pick(random, options.slugs)
    return new Context(options, ledger, slug, mulberry32(Math.floor(random() * 2 ** 32))).run()
  })
  const failed = (await Promise.allSettled(contexts)).filter((outcome) => outcome.status === 'rejected')
  if (failed.length > 0)
    throw new AggregateError(
      failed.map(({ reason }) => reason),
      String(failed[0]!.reason),
    )
}

class Context {
  readonly #database: Database
  readonly #slugs: readonly string[]
  readonly #ledger: Ledger
  readonly #slug: string
  readonly #random: () => number

  constructor({ database, slugs }: Contention, ledger: Ledger, slug: string, random: () => number) {
    this.#database = database
    this.#slugs = slugs
    this.#ledger = ledger
    this.#slug = slug
    this.#random = random
  }

  async run(): Promise<void> {
    const steps = {
      read: () => this.#read(),
      write: () => this.#committed(() => this.#write()),
      add: () => this.#committed(() => this.#add()),
      transaction: () => this.#transaction(),
      error: () => this.#error(),
      trespass: () => this.#trespass(),
      temporary: () => this.#temporary(),
      parallel: () => this.#parallel(),
    }
    await this.#pause()
    await this.#database.withTenant(this.#slug, async () => {
      for (let left = 2 + this.#upTo(4); left > 0; left -= 1) {
        const name = pick(this.#random, Object.keys(steps) as (keyof typeof steps)[])
        await steps[name]()
        this.#ledger.count(name)
        await this.#pause()
      }
    })
    await this.#maybe(0.4, () => this.#cancelled())
    await this.#maybe(0.2, () => this.#visitAnother())
  }

  /** What a step adds to the ledger once Postgres has said that it is committed. */
  async #committed(step: () => Promise<Entry>): Promise<void> {
    this.#record(await step())
  }

  #record({ notes, amount }: Entry, slug = this.#slug): void {
    const entry = this.#ledger.of(slug)
    entry.notes += notes
    entry.amount += amount
  }

  async #read(): Promise<void> {
    const { sql } = this.#database
    const { rows } = await sql<{ tenant: string; schema: string }>`
      SELECT tenant, current_schema()::text AS schema FROM notes
      UNION ALL SELECT tenant, current_schema()::text FROM balance
      UNION ALL SELECT ${this.#slug}, current_schema()::text LIMIT 50`
    for (const row of rows) expect(row).toEqual({ tenant: this.#slug, schema: `tenant_${this.#slug}` })
    expect(this.#database.currentTenant()).toBe(this.#slug)
  }

  async #write(): Promise<Entry> {
    await this.#database.sql`INSERT INTO notes (tenant) VALUES (${this.#slug})`
    return { notes: 1, amount: 0 }
  }

  async #add(): Promise<Entry> {
    const amount = 1 + this.#upTo(9)
    const { rows } = await this.#database.sql`
      INSERT INTO balance (tenant, amount) VALUES (${this.#slug}, ${amount})
      ON CONFLICT (tenant) DO UPDATE SET amount = balance.amount + excluded.amount RETURNING tenant`
    expect(rows).toEqual([{ tenant: this.#slug }])
    return { notes: 0, amount }
  }

  /** Commits or throws on purpose, with nested transactions that do the same. */
  async #transaction(depth = 0): Promise<Entry> {
    const planned = new Error('rolled back on purpose')
    const fails = this.#random() < 0.3
    const done: Entry = { notes: 0, amount: 0 }
    const work = this.#database.transaction(async () => {
      for (let left = 1 + this.#upTo(2); left > 0; left -= 1) {
        const entry = await this.#write()
        done.notes += entry.notes
        await this.#pause()
        if (depth < 2 && this.#random() < 0.5) {
          const nested = await this.#transaction(depth + 1)
          done.notes += nested.notes
        }
        await this.#read()
      }
      if (fails) throw planned
    })
    if (fails) {
      expect(await rejection(work)).toBe(planned)
      return { notes: 0, amount: 0 }
    }
    await work
    if (depth === 0) this.#record(done)
    return done
  }

  async #error(): Promise<void> {
    const fail = () => this.#database.sql`INSERT INTO notes (tenant) VALUES (${null})`
    expect(await sqlState(fail())).toBe('23502')
    expect(await sqlState(this.#database.transaction(() => this.#write().then(fail)))).toBe('23502')
  }

  async #trespass(): Promise<void> {
    const { sql } = this.#database
    const other = this.#another()
    expect(await sqlState(sql`SELECT * FROM ${sql.identifier(`tenant_${other}`, 'notes')}`)).toBe('42501')
    expect(await sqlState(sql`UPDATE ${sql.identifier(`tenant_${other}`, 'balance')} SET amount = 0`)).toBe(
      '42501',
    )
  }

  async #temporary(): Promise<void> {
    const { sql } = this.#database
    await this.#database.transaction(async () => {
      await sql`CREATE TEMP TABLE notes (tenant text) ON COMMIT DROP`
      await sql`SELECT pg_advisory_xact_lock(${this.#upTo(1_000_000)}::bigint)`
      await this.#pause()
      await this.#read()
    })
  }

  async #parallel(): Promise<void> {
    const { sql } = this.#database
    const answers = await Promise.all([1, 2, 3].map(() => sql`SELECT current_schema()::text AS schema`))
    for (const { rows } of answers) expect(rows).toEqual([{ schema: `tenant_${this.#slug}` }])
  }

  /** Aborted at a random moment. Whatever was told to be committed counts, and nothing else. */
  async #cancelled(): Promise<void> {
    const abort = new AbortController()
    const reason = new Error('cancelled on purpose')
    const timer = setTimeout(() => abort.abort(reason), this.#upTo(25))
    const { sql } = this.#database
    try {
      await this.#database.withTenant(
        this.#slug,
        async () => {
          await this.#committed(() => this.#write())
          const inTransaction = await this.#database.transaction(async () => {
            const entry = await this.#write()
            await sql`SELECT pg_sleep(${this.#random() * 0.02})`
            return entry
          })
          this.#record(inTransaction)
          await sql`SELECT pg_sleep(${this.#random() * 0.02})`
        },
        { signal: abort.signal },
      )
      this.#ledger.count('cancelled too late')
    } catch (error) {
      expect(error).toBe(reason)
      this.#ledger.count('cancelled')
    } finally {
      clearTimeout(timer)
    }
  }

  async #visitAnother(): Promise<void> {
    const other = this.#another()
    await this.#database.withTenant(this.#slug, async () => {
      await this.#database.withTenant(other, async () => {
        await this.#database.sql`INSERT INTO notes (tenant) VALUES (${other})`
        this.#record({ notes: 1, amount: 0 }, other)
      })
      await this.#read()
    })
    this.#ledger.count('visit')
  }

  #another(): string {
    return pick(
      this.#random,
      this.#slugs.filter((slug) => slug !== this.#slug),
    )
  }

  async #pause(): Promise<void> {
    const kind = this.#random()
    if (kind < 0.3) await sleep(this.#upTo(4))
    else if (kind < 0.6) await new Promise((resolve) => setImmediate(resolve))
  }

  async #maybe(chance: number, step: () => Promise<void>): Promise<void> {
    if (this.#random() < chance) await step()
  }

  #upTo(most: number): number {
    return Math.floor(this.#random() * (most + 1))
  }
}

function pick<T>(random: () => number, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!
}

/** Small, fast, and the same numbers for the same seed. */
function mulberry32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
