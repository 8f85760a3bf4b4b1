/** Whatever is changed, fails and happens at once, in any order: every time has one run for each tenant that had it then. */
import { expect, test } from 'vitest'
import { nameOfTime } from '../../src/schedules/request.ts'
import { defineTask } from '../../src/task/define.ts'
import { derivedRunId } from '../../src/task/derived-id.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import {
  addTenant,
  broken,
  changeTenantAt,
  deploy,
  engine,
  now,
  runsOf,
  schedules,
  tickAt,
  useSchedules,
} from './kit.ts'

const cron = '* * * * *'
const task = defineTask({
  id: 'change/minute',
  payload: tenantPayload({}),
  schedules: [{ cron, timezone: 'tenant', catchUp: 'all' }],
  run: () => null,
})
const name = task.id

useSchedules('inline', [task])

/** As it should be after what has been done so far. */
interface Model {
  tenantId: string
  isActive: boolean
  isPaused: boolean
  everyOther: boolean
  expected: string[]
}

test.each([1, 2, 3, 4, 5, 6])('seed %i', async (seed) => {
  const random = mulberry(seed)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!
  const models: Model[] = []
  for (const timezone of ['UTC', 'Asia/Tokyo', 'Europe/Berlin']) {
    const tenantId = await addTenant(timezone)
    models.push({ tenantId, isActive: true, isPaused: false, everyOther: false, expected: [] })
  }
  let isPausedForAll = false
  let at = Date.parse('2027-03-01T00:00:10Z')
  const clock = () => new Date(at).toISOString().slice(0, -1)
  const refusing = deploy([task], broken(engine)).ticker
  const working = deploy([task]).ticker
  await tickAt(clock(), working)

  const change = async (model: Model): Promise<void> => {
    const { tenantId } = model
    const kind = pick(['status', 'pause', 'pause all', 'timezone', 'cron', 'reset'] as const)
    if (kind === 'status') {
      model.isActive = !model.isActive
      await changeTenantAt(clock(), tenantId, 'status', model.isActive ? 'active' : 'suspended')
    } else if (kind === 'pause') {
      model.isPaused = !model.isPaused
      await schedules[model.isPaused ? 'pause' : 'resume'](name, { tenantId })
    } else if (kind === 'pause all') {
      isPausedForAll = !isPausedForAll
      await schedules[isPausedForAll ? 'pause' : 'resume'](name)
    } else if (kind === 'timezone') {
      await changeTenantAt(clock(), tenantId, 'timezone', pick(['UTC', 'Asia/Tokyo', 'America/New_York']))
    } else if (kind === 'cron') {
      model.everyOther = !model.everyOther
      await schedules.set(tenantId, name, { cron: model.everyOther ? '*/2 * * * *' : null })
    } else {
      model.isPaused = false
      model.everyOther = false
      await schedules.reset(tenantId, name)
    }
  }

  const pass = (ms: number): void => {
    const before = at
    at += ms
    for (let time = Math.ceil((before + 1) / 60_000) * 60_000; time <= at; time += 60_000) {
      for (const { tenantId, isActive, isPaused, everyOther, expected } of models) {
        if (!isActive || isPaused || isPausedForAll || (everyOther && time % 120_000 !== 0)) continue
        const occasion = nameOfTime(cron, 'UTC', new Date(time))
        expected.push(derivedRunId([`${name}:default`, tenantId, occasion]))
      }
    }
    now(clock())
  }

  for (let step = 0; step < 40; step += 1) {
    pass(5_000 + Math.floor(random() * 60_000))
    const tickers = [pick([refusing, working]), pick([refusing, working])].slice(0, Math.floor(random() * 3))
    await Promise.all([...tickers.map((ticker) => ticker.tick()), random() < 0.6 && change(pick(models))])
  }
  pass(31_000)
  await working.tick()
  for (const { tenantId, expected } of models) {
    expect((await runsOf(tenantId)).map(({ id }) => id).sort()).toEqual(expected.sort())
  }
})

/** The same numbers from 0 to 1 for the same seed. */
function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
