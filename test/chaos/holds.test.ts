/** Services that refuse or ask to wait, with the runs of two tenants on two worker processes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { asking, work } from '../fixtures/chaos/tasks.ts'
import { StripeServer } from '../fixtures/providers/stripe.ts'
import { everyRun, setStage } from './stage.ts'

const askedWith = (stripe: StripeServer, key: string) =>
  stripe.requests.filter(({ headers }) => headers.authorization === `Bearer ${key}`)

describe.concurrent('a service', () => {
  test("that refuses a tenant's key stops its 5,000 runs and nobody else's 5,000, and they complete with a new key", async (context) => {
    const stripe = await new StripeServer('sk_test_first', 'sk_test_second', 'sk_test_new').listen()
    context.onTestFinished(() => stripe.close())
    const stage = await setStage(context, { tenants: 2, services: { stripe: { baseUrl: stripe.url } } })
    const [first, second] = stage.tenants as [string, string]
    await stage.setCredential(first, 'stripe', { secret_key: 'sk_test_first' })
    await stage.setCredential(second, 'stripe', { secret_key: 'sk_test_second' })
    // In turn: the first, the second tenant.
    await stage.triggerMany(asking, 10_000)
    const concurrency = 20
    await Promise.all([stage.worker({ concurrency }), stage.worker({ concurrency })])
    await stage.until('both tenants are under way', 10_000, async () => stripe.requests.length > 1_000)

    stripe.keys.delete('sk_test_first')
    const revokedAt = performance.now()
    await stage.triggerMany(work, 500)
    const count = async (tenant: string, condition: string, table = 'pgboss.job') =>
      (
        await stage.query<{ runs: number }>(
          `SELECT count(*)::int AS runs FROM ${table} WHERE name = 'chaos/asking' AND group_id = $1 AND ${condition}`,
          [tenant],
        )
      )[0]!.runs
    const open = await count(first, "state <> 'completed'")
    expect(open).toBeGreaterThan(1_000)
    const isHeld = "state < 'active' AND start_after > now() + interval '1 year'"
    await stage.until('its runs are held', 5_000, async () => {
      return (await count(first, isHeld)) === (await count(first, "state <> 'completed'"))
    })
    const heldAfterMs = performance.now() - revokedAt
    const refused = () => askedWith(stripe, 'sk_test_first').filter(({ at }) => at > revokedAt)
    console.log(
      `revoked key: ${await count(first, isHeld)} runs held ${Math.round(heldAfterMs)} ms after, ${refused().length} requests refused`,
    )
    expect(heldAfterMs).toBeLessThan(process.env.CI ? 5_000 : 3_000)
    // Those in flight, and nobody after them.
    expect(refused().length).toBeLessThanOrEqual(2 * concurrency)

    await stage.until('the others are done', 60_000, async () => {
      const [row] = await stage.query<{ open: number }>(
        "SELECT count(*)::int AS open FROM pgboss.job WHERE state < 'completed' AND NOT (name = 'chaos/asking' AND group_id = $1)",
        [first],
      )
      return row!.open === 0
    })
    expect(await count(second, "state = 'completed'", everyRun)).toBe(5_000)
    const before = refused().length
    // They do not go round: nothing of them is touched while they wait.
    const versions = async () =>
      await stage.query(
        `SELECT sum(xmin::text::bigint) AS sum FROM pgboss.job WHERE group_id = $1 AND ${isHeld}`,
        [first],
      )
    const untouched = await versions()
    await sleep(2_500)
    expect(await versions()).toEqual(untouched)
    expect(refused().length).toBe(before)
    expect(await stage.query('SELECT FROM public.platform_attempts')).toEqual([])
    expect(await stage.query('SELECT tenant_id, reason FROM public.platform_holds')).toEqual([
      { tenant_id: first, reason: 'refused' },
    ])

    const mendedAt = performance.now()
    await stage.setCredential(first, 'stripe', { secret_key: 'sk_test_new' })
    await stage.untilAllEnded(60_000)
    console.log(`new key: all completed ${Math.round(performance.now() - mendedAt)} ms after`)
    expect(await stage.states()).toEqual({ completed: 10_500 })
    expect(await stage.query('SELECT FROM public.platform_attempts')).toEqual([])
    await stage.until('the hold is gone', 5_000, async () => {
      return (await stage.query('SELECT FROM public.platform_holds')).length === 0
    })
  }, 120_000)

  test('that is still refusing after a mend that was none is tried by few', async (context) => {
    const stripe = await new StripeServer('sk_test_other').listen()
    context.onTestFinished(() => stripe.close())
    const stage = await setStage(context, { services: { stripe: { baseUrl: stripe.url } } })
    await stage.setCredential(stage.tenant, 'stripe', { secret_key: 'sk_test_wrong' })
    await stage.triggerMany(asking, 2_000)
    await stage.worker({ concurrency: 50 })
    const held = async () => {
      const [row] = await stage.query<{ runs: number }>(
        "SELECT count(*)::int AS runs FROM pgboss.job WHERE state < 'active' AND start_after > now() + interval '1 year'",
      )
      return row!.runs === 2_000
    }
    await stage.until('all are held', 10_000, held)
    const before = stripe.requests.length
    await stage.setCredential(stage.tenant, 'stripe', { secret_key: 'sk_test_wrong_too' })
    await stage.until('somebody has tried', 5_000, async () => stripe.requests.length > before)
    await stage.until('all are held again', 10_000, held)
    console.log(`a mend that was none: ${stripe.requests.length - before} requests`)
    expect(stripe.requests.length - before).toBeLessThanOrEqual(20)
    expect(await stage.query('SELECT FROM public.platform_attempts')).toEqual([])
  }, 60_000)

  test('that says Retry-After: 20 is asked nothing for 20 s, by two processes, not by runs that had begun either', async (context) => {
    const stripe = await new StripeServer('sk_test_first', 'sk_test_second').listen()
    context.onTestFinished(() => stripe.close())
    const stage = await setStage(context, { tenants: 2, services: { stripe: { baseUrl: stripe.url } } })
    const [first, second] = stage.tenants as [string, string]
    await stage.setCredential(first, 'stripe', { secret_key: 'sk_test_first' })
    await stage.setCredential(second, 'stripe', { secret_key: 'sk_test_second' })
    await Promise.all([stage.worker({ concurrency: 10 }), stage.worker({ concurrency: 10 })])
    // Runs that ask again and again while they run, on both; then many that ask once.
    const [long] = await stage.triggerMany(asking, 20, () => ({ times: 100, everyMs: 100 }))
    await stage.until('they ask', 30_000, async () => askedWith(stripe, 'sk_test_first').length > 20)
    let limitedAt = 0
    stripe.answerNext(
      () => {
        limitedAt = performance.now()
        return {
          status: 429,
          headers: { 'retry-after': '20' },
          body: { error: { type: 'invalid_request_error', code: 'rate_limit' } },
        }
      },
      { matches: ({ headers }) => headers.authorization === 'Bearer sk_test_first' },
    )
    await stage.until('it said so', 30_000, async () => limitedAt > 0)
    await stage.triggerMany(asking, 200)
    await stage.until('all of the first wait', 15_000, async () => {
      const [row] = await stage.query<{ runs: number }>(
        "SELECT count(*)::int AS runs FROM pgboss.job WHERE group_id = $1 AND state <> 'completed' AND start_after < now() + interval '1 year'",
        [first],
      )
      return row!.runs === 0
    })
    await sleep(19_000 - (performance.now() - limitedAt))
    // What was in flight, and what left before the other process had heard of it: it is told by a notification.
    const heardWithinMs = 1_000
    const afterwards = () =>
      askedWith(stripe, 'sk_test_first').filter(({ at }) => at > limitedAt + heardWithinMs)
    const meanwhile = afterwards()
    expect(meanwhile).toEqual([])
    expect(askedWith(stripe, 'sk_test_second').some(({ at }) => at > limitedAt + 1_000)).toBe(true)
    await stage.untilAllEnded(60_000)
    const later = afterwards()
    console.log(`Retry-After 20: next request ${Math.round(later[0]!.at - limitedAt)} ms after`)
    expect(later[0]!.at - limitedAt).toBeGreaterThanOrEqual(20_000)
    expect(await stage.states()).toEqual({ completed: 220 })
    expect(await stage.platform.runs.get(long!)).toMatchObject({ attempt: 1, attempts: [] })
  }, 120_000)

  test('whose credential is replaced is asked with the new one within a second, also by runs that had begun', async (context) => {
    const stripe = await new StripeServer('sk_test_old', 'sk_test_new').listen()
    context.onTestFinished(() => stripe.close())
    const stage = await setStage(context, { services: { stripe: { baseUrl: stripe.url } } })
    await stage.setCredential(stage.tenant, 'stripe', { secret_key: 'sk_test_old' })
    await stage.worker({ concurrency: 5 })
    await stage.triggerMany(asking, 3, () => ({ times: 20, everyMs: 100 }))
    await stage.until('they ask', 10_000, async () => askedWith(stripe, 'sk_test_old').length > 5)
    await stage.setCredential(stage.tenant, 'stripe', { secret_key: 'sk_test_new' })
    const replacedAt = performance.now()
    await stage.untilAllEnded(30_000)
    const [first] = askedWith(stripe, 'sk_test_new')
    const late = askedWith(stripe, 'sk_test_old').filter(({ at }) => at > replacedAt)
    console.log(
      `replaced credential: used ${Math.round(first!.at - replacedAt)} ms after, ${late.length} requests with the old one`,
    )
    expect(first!.at - replacedAt).toBeLessThan(1_000)
    expect(late.every(({ at }) => at < replacedAt + 1_000)).toBe(true)
    expect(await stage.states()).toEqual({ completed: 3 })
    expect(await stage.query('SELECT FROM public.platform_attempts')).toEqual([])
  }, 60_000)
}, 120_000)
