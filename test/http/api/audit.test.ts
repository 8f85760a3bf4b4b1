import { audit, createTenant, deleteTenant } from '@cgk-platform/jobs'
import { describe, expect, test } from 'vitest'
import { keyOf, kit, onPlatform, userOf } from './kit.ts'

onPlatform({ tasks: [] })

const actor = { kind: 'cli', id: null, name: 'root@host' } as const

async function note(tenantId: string | null, action: string): Promise<void> {
  await audit.record({ actor, action, tenantId, subject: 's', reason: 'Because', details: { runs: 2 } })
}

const actions = ({ body }: { body: { entries: { action: string }[] } }) =>
  body.entries.map(({ action }) => action)

describe('GET /audit', () => {
  test('tells who did what, and why, newest first, page by page', async () => {
    const tenantId = await kit.tenant()
    for (const action of ['a.one', 'a.two', 'a.three']) await note(tenantId, action)
    const admin = await userOf('admin', tenantId)
    const first = await admin.get('/audit?limit=2')
    expect(first).toMatchObject({
      status: 200,
      body: {
        entries: [
          {
            at: expect.stringMatching(/Z$/),
            actor,
            action: 'a.three',
            tenantId,
            subject: 's',
            reason: 'Because',
            details: { runs: 2 },
          },
          { action: 'a.two' },
        ],
      },
    })
    const second = await admin.get(`/audit?limit=2&after=${first.body.next}`)
    expect(second.body).toMatchObject({ entries: [{ action: 'a.one' }], next: null })
    expect(actions(await admin.get('/audit?action=a.two'))).toEqual(['a.two'])
  })

  test('shows a tenant its own entries, and the platform all', async () => {
    const [one, two] = [await kit.tenant(), await kit.tenant()]
    await note(one, 'b.one')
    await note(two, 'b.two')
    await note(null, 'b.all')
    const admin = await userOf('admin', one)
    expect(actions(await admin.get('/audit'))).toEqual(['b.one'])
    expect(actions(await admin.get(`/audit?tenant=${two}`))).toEqual([])
    const both = await userOf('admin', one, two)
    expect(actions(await both.get('/audit'))).toEqual(['b.two', 'b.one'])
    expect(actions(await both.get(`/audit?tenant=${one}`))).toEqual(['b.one'])
    const operator = await userOf('operator')
    expect(actions(await operator.get('/audit?limit=3'))).toEqual(['b.all', 'b.two', 'b.one'])
  })

  test('shows nothing of a tenant that had the slug before, but to the platform', async () => {
    const tenantId = await kit.tenant()
    await note(tenantId, 'c.before')
    await deleteTenant(tenantId, { force: true })
    await createTenant(tenantId)
    await note(tenantId, 'c.after')
    const owner = await userOf('owner', tenantId)
    expect(actions(await owner.get('/audit'))).toEqual(['c.after'])
    expect(actions(await owner.get(`/audit?tenant=${tenantId}`))).toEqual(['c.after'])
    const operator = await userOf('operator')
    expect(actions(await operator.get(`/audit?tenant=${tenantId}`))).toEqual(['c.after', 'c.before'])
  })

  test('is not for members', async () => {
    const tenantId = await kit.tenant()
    for (const caller of [await userOf('member', tenantId), await keyOf(tenantId, ['runs:read'])]) {
      expect(await caller.get('/audit')).toMatchObject({ status: 403, body: { code: 'FORBIDDEN' } })
    }
  })

  test.each(['limit=0', 'after=x', 'who=me'])('refuses ?%s', async (query) => {
    const key = await keyOf(null, ['audit:read'])
    expect(await key.get(`/audit?${query}`)).toMatchObject({ status: 400 })
  })
})
