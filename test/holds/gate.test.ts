import { beforeEach, expect, test } from 'vitest'
import { ServiceHeldError } from '../../src/errors.ts'
import { HoldGate } from '../../src/holds/gate.ts'
import { parseAnnouncement } from '../../src/holds/hold.ts'

/** What the table says, and how often it was asked. */
let hold: { endsInMs: number | null } | null
let reads: number
let now: number
let gate: HoldGate

beforeEach(() => {
  hold = null
  reads = 0
  now = 1_000_000
  gate = new HoldGate({
    now: () => now,
    read: async () => {
      reads += 1
      return hold
    },
  })
})

const pass = async () => await gate.pass('rawdog', 'stripe')

test('lets through what nobody holds, at once and without asking', () => {
  expect(gate.pass('rawdog', 'stripe')).toBeUndefined()
  expect(reads).toBe(0)
})

test('stops exactly the tenant and the service that are held', async () => {
  gate.close('rawdog', 'stripe', null)
  await expect(pass()).rejects.toThrow(ServiceHeldError)
  await expect(pass()).rejects.toThrow(/stripe is held for tenant "rawdog" until its credential is replaced/)
  await gate.pass('rawdog', 'wise')
  await gate.pass('acme', 'stripe')
  expect(reads).toBe(0)
})

test('opens by itself when the time is over', async () => {
  expect(gate.close('rawdog', 'stripe', 20_000)).toEqual(new Date(now + 20_000))
  await expect(pass()).rejects.toThrow(new Date(now + 20_000).toISOString())
  hold = { endsInMs: 1 }
  now += 19_999
  await expect(pass()).rejects.toThrow(ServiceHeldError)
  now += 1
  await pass()
})

test('looks again when it has heard nothing for a second, so a hold that was lifted elsewhere is found over', async () => {
  gate.close('rawdog', 'stripe', null)
  hold = { endsInMs: null }
  now += 1_001
  await expect(pass()).rejects.toThrow(ServiceHeldError)
  await expect(pass()).rejects.toThrow(ServiceHeldError)
  expect(reads).toBe(1)
  hold = null
  now += 1_001
  await pass()
  expect(reads).toBe(2)
  expect(gate.pass('rawdog', 'stripe')).toBeUndefined()
})

test('keeps what is not recorded yet until its time is over', async () => {
  gate.close('rawdog', 'stripe', 20_000, false)
  now += 5_000
  expect(await gate.refresh('rawdog', 'stripe')).toBe(false)
  await expect(pass()).rejects.toThrow(ServiceHeldError)
  now += 15_000
  await pass()
})

test('follows what it hears', async () => {
  hold = { endsInMs: null }
  expect(await gate.refresh('rawdog', 'stripe')).toBe(true)
  await expect(pass()).rejects.toThrow(ServiceHeldError)
  hold = null
  expect(await gate.refresh('rawdog', 'stripe')).toBe(false)
  await pass()
})

test('an announcement names a tenant and a service, or nothing', () => {
  expect(parseAnnouncement('rawdog stripe')).toEqual({ tenantId: 'rawdog', service: 'stripe' })
  for (const text of ['', 'rawdog', ' stripe']) expect(parseAnnouncement(text)).toBeNull()
})
