/** What every service does, whatever its SDK. Each runs all of it, in a test file of its own. */
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { enterScope } from '../../src/db/scope.ts'
import {
  RunCancelledError,
  RunTimeoutError,
  ServiceClientClosedError,
  ServiceHeldError,
} from '../../src/errors.ts'
import type { ServiceFailure } from '../../src/services/failure.ts'
import type { ProviderAnswer } from '../fixtures/providers/server.ts'
import { errorOf, onWire, type Subject } from './kit.ts'

type Kind = ServiceFailure['kind']

export interface WireSubject<Client> extends Subject<Client> {
  /** How the provider says no; its reason is `No.` */
  refusal(status: number, code: string): ProviderAnswer
  /** What the failure makes of that reason; the reason alone by default. */
  told?(status: number): string
  /** What its refusals mean: statuses, with the codes that its failures have. */
  refusals: Partial<Record<Exclude<Kind, 'limited'>, [status: number, code: string][]>> & {
    limited: [status: number, code: string]
  }
  /** What statuses mean when something else in between says them. */
  pages: Partial<Record<Kind, number[]>>
  /** Bodies, beside those that nobody can read, in which the provider does not say why. */
  wordlessBodies?: string[]
  /** What a refusal that breaks off is told by. */
  halfRefusal: 'what broke it off' | 'its status'
  /** What an answer should have been; JSON by default. */
  form?: string
  /** What ended the request, as the SDK's error keeps it; by default that is the error itself. */
  reasonOf?(error: unknown, whileReading: boolean): unknown
  /** Its SDK takes every AbortError for a timeout of its own. */
  takesAbortForTimeout?: true
  /** A call that a task can end by a signal of its own. */
  withSignal?: {
    call(client: Client, signal: AbortSignal): PromiseLike<unknown>
    error: 'the reason' | 'of the SDK'
  }
}

export function wireBehaviour<Client>(subject: WireSubject<Client>): void {
  describe('a refusal', () => refusals(subject))
  describe('an answer of something in between', () => pages(subject))
  describe('silence', () => silence(subject))
  describe('an error of somebody else', () => strangers(subject))
  describe('what the platform or the task ends', () => endings(subject))
}

function refusals<Client>(subject: WireSubject<Client>): void {
  const { refusal, told = () => 'No.' } = subject
  const { failureOf } = onWire(subject)
  const { limited, ...kinds } = subject.refusals

  for (const [kind, rows] of Object.entries(kinds)) {
    it.each(rows)(`%i %s is ${kind}, with what the provider says`, async (status, code) => {
      expect(await failureOf(refusal(status, code))).toEqual({ kind, code, message: told(status) })
    })
  }

  const [status, code] = limited
  const answer = refusal(status, code)
  const expected = { kind: 'limited', code, message: told(status) }

  it.each([
    ['7', 7_000],
    ['7.0', 7_000],
    ['60', 60_000],
  ])(`${status} ${code} is limited, by %s seconds`, async (seconds, retryAfterMs) => {
    const headers = { ...answer.headers, 'retry-after': seconds }
    expect(await failureOf({ ...answer, headers })).toEqual({ ...expected, retryAfterMs })
  })

  it(`${status} ${code} is limited, by a date or not at all`, async () => {
    const date = new Date(Date.now() + 90_000).toUTCString()
    for (const dated of [answer, { status }]) {
      const failure = await failureOf({ ...dated, headers: { 'retry-after': date } })
      if (failure?.kind !== 'limited') throw new Error(`It is ${failure?.kind}.`)
      expect(failure.retryAfterMs).toBeGreaterThan(85_000)
      expect(failure.retryAfterMs).toBeLessThanOrEqual(90_000)
    }
    expect(await failureOf(answer)).toEqual({ ...expected, retryAfterMs: 30_000 })
  })
}

function pages<Client>(subject: WireSubject<Client>): void {
  const { service, wordlessBodies = [] } = subject
  const { failureOf } = onWire(subject)
  const bodies = ['<html>secret</html>', '', 'null', '[]', '{}', '"text"', ...wordlessBodies]

  for (const [kind, statuses] of Object.entries(subject.pages)) {
    it.each(statuses)(`%i is ${kind}, and is not shown`, async (status) => {
      for (const body of bodies) {
        const message = `${service.title} answered ${status}.`
        expect(await failureOf({ status, body })).toEqual({ kind, code: `http_${status}`, message })
      }
    })
  }

  it('429 keeps its header', async () => {
    const answer = { status: 429, headers: { 'retry-after': '9' }, body: '<html>' }
    const message = `${service.title} answered 429.`
    expect(await failureOf(answer)).toEqual({
      kind: 'limited',
      code: 'http_429',
      message,
      retryAfterMs: 9_000,
    })
  })
}

function silence<Client>(subject: WireSubject<Client>): void {
  const { service, server, call, halfRefusal, form = 'JSON' } = subject
  const { connect, failure, failureOf } = onWire(subject)
  const transient = (code: string, message: string) => ({ kind: 'transient', code, message })
  const timeout = transient('timeout', `${service.title} did not answer in time.`)
  const connectionError = transient('connection_error', `The connection to ${service.title} failed.`)

  it('no answer is a timeout', async () => {
    expect(await failureOf({ instead: 'silence' }, patienceMs)).toEqual(timeout)
  })

  it('so is half an answer', async () => {
    expect(await failureOf(halfOf(200), patienceMs)).toEqual(timeout)
  })

  it.each([400, 503])(`half a refusal of %i is told by ${halfRefusal}`, async (status) => {
    const expected = halfRefusal === 'its status' ? { code: `http_${status}` } : timeout
    expect(await failureOf(halfOf(status), patienceMs)).toMatchObject(expected)
  })

  it('a connection that breaks is a connection error', async () => {
    expect(await failureOf({ instead: 'reset' })).toEqual(connectionError)
  })

  it('so is one that cannot be made', async () => {
    const { client } = connect()
    await server().close()
    expect(await failure(call(client))).toEqual(connectionError)
  })

  it('an answer that is cut off is unreadable', async () => {
    const message = `${service.title} answered with what is no ${form}.`
    expect(await failureOf({ body: '{"id": ' })).toEqual(transient('unreadable_answer', message))
  })
}

function strangers<Client>({ service }: WireSubject<Client>): void {
  it.each([
    new SyntaxError('Unexpected token'),
    new TypeError('fetch failed'),
    new Error('Authentication error'),
    { name: 'validation_error', statusCode: 422 },
    { code: 'THROTTLED' },
    'a text',
    null,
    undefined,
  ])('%s is not its own', (error) => {
    expect(service.readError(error)).toBeNull()
  })
}

function endings<Client>(subject: WireSubject<Client>): void {
  const { service, server, call, withSignal, reasonOf = (error: unknown) => error } = subject
  const { connect } = onWire(subject)

  const begun = halfOf(200)
  const places: [string, ProviderAnswer][] = [
    ['the request', { instead: 'silence' }],
    ['an answer that has begun', begun],
  ]
  if (subject.halfRefusal === 'what broke it off') places.push(['a refusal that has begun', halfOf(503)])

  const reasons: Error[] = [new RunCancelledError(), new RunTimeoutError(1_000)]
  if (!subject.takesAbortForTimeout) reasons.push(new DOMException('Aborted', 'AbortError'))

  describe.each(places)('an abort of the run reaches %s', (_, answer) => {
    it.each(reasons)('%s', async (reason) => {
      server().answerNext(answer)
      const { client } = connect()
      const stop = new AbortController()
      const fetch = vi.spyOn(globalThis, 'fetch')
      onTestFinished(() => fetch.mockRestore())
      const error = await enterScope(scopeOf(stop.signal), async () => {
        const work = errorOf(call(client))
        await vi.waitFor(() => expect(server().requests).toHaveLength(1))
        if (!answer.instead) await vi.waitFor(() => expect(fetch).toHaveResolvedTimes(1))
        stop.abort(reason)
        return await work
      })
      expect(service.readError(error)).toBeNull()
      expect(reasonOf(error, answer === begun)).toBe(reason)
    })
  })

  if (withSignal) {
    it.each([undefined, new Error('Enough.')])(
      'so does the signal that a task gives along: %s',
      async (reason) => {
        server().answerNext({ instead: 'silence' })
        const stop = new AbortController()
        const work = errorOf(withSignal.call(connect().client, stop.signal))
        await vi.waitFor(() => expect(server().requests).toHaveLength(1))
        stop.abort(reason)
        const error = await work
        expect(service.readError(error)).toBeNull()
        if (withSignal.error === 'the reason') expect(error).toBe(stop.signal.reason)
      },
    )
  }

  it('a closed client sends nothing, and says why', async () => {
    const { client, wire } = connect()
    wire.close()
    const error = await errorOf(call(client))
    expect(service.readError(error)).toBeNull()
    expect(reasonOf(error, false)).toBeInstanceOf(ServiceClientClosedError)
    expect(server().requests).toHaveLength(0)
  })

  it('so does one that is held, even for a tenant whose name sounds like a timeout', async () => {
    const held = new ServiceHeldError('timeout', service.name, null)
    const pass = vi.fn(() => {
      throw held
    })
    const error = await errorOf(call(connect({ pass }).client))
    expect(service.readError(error)).toBeNull()
    expect(reasonOf(error, false)).toBe(held)
    expect(pass).toHaveBeenCalledTimes(1)
    expect(server().requests).toHaveLength(0)
  })
}

/** Enough for the request, and half an answer, to arrive on a busy machine. */
const patienceMs = 400

/** The rest of it never comes. */
function halfOf(status: number): ProviderAnswer {
  return { status, headers: { 'content-length': '1000' }, body: '{"id": ' }
}

/** As a run has it, without a database. */
function scopeOf(signal: AbortSignal) {
  return { database: null as never, tenant: null, transaction: null, signal, ended: false }
}
