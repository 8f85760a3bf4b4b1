import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { sql, withTenant } from '../../../src/default-platform.ts'
import { ingestVideo } from '../../../tasks/videos/ingest.ts'
import { recordVideoAsset } from '../../../tasks/videos/record-asset.ts'
import type { MuxEvent } from '../../fixtures/providers/mux.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { add, find } from '../rows.ts'

const providers = useProviders(['mux'])

const sourceUrl = 'https://cdn.example.com/a.mp4'
const addVideo = () => add(tenantId, 'videos', { title: 'A video' })
const video = (id: string) => find(tenantId, 'videos', id)
const ingest = (videoId: string) => kit.runTask(ingestVideo, { tenantId, videoId, sourceUrl })
const assetOf = (videoId: string) =>
  [...providers.mux.assets.values()].find(({ passthrough }) => passthrough?.includes(videoId))!

/** What the platform makes of a delivery. */
const payloadOf = ({ id, type, ...rest }: MuxEvent | { id: string; type: string }) =>
  recordVideoAsset.webhooks[0]!.payload({ id, type, body: { id, type, ...rest } })
const record = (event: MuxEvent) =>
  kit.runTask(recordVideoAsset, {
    tenantId,
    ...(payloadOf(event) as { assetId: string; event: 'video.asset.ready' }),
  })

test('ready: recorded, and the ingest that waits is done at its next look', async () => {
  const videoId = await addVideo()
  await expect(ingest(videoId)).rejects.toThrow(/Come back/)
  const event = providers.mux.finish(assetOf(videoId).id, { duration: 7 })
  expect(await record(event)).toEqual({ recorded: true, videoId, status: 'ready' })
  const row = await video(videoId)
  expect(row).toMatchObject({ status: 'ready', duration_seconds: 7, mux_playback_id: expect.any(String) })
  // Mux may deliver twice.
  expect(await record(event)).toEqual({ recorded: true, videoId, status: 'ready' })
  expect(await video(videoId)).toEqual(row)

  providers.mux.requests.splice(0)
  expect(await ingest(videoId)).toMatchObject({ status: 'ready', assetId: event.data.id })
  expect(providers.mux.requests).toEqual([])
})

test('errored: the reason is kept, and the ingest fails', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  const attempt = () => kit.runTask(ingestVideo, { tenantId, videoId, sourceUrl }, { runId })
  await expect(attempt()).rejects.toThrow(/Come back/)
  const event = providers.mux.fail(assetOf(videoId).id, 'No video track.')
  expect(await record(event)).toEqual({ recorded: true, videoId, status: 'error' })
  expect(await video(videoId)).toMatchObject({ status: 'error', error_message: 'No video track.' })
  await expect(attempt()).rejects.toThrow(/No video track/)
})

test('the worker that asked has died: the webhook gives the video its asset', async () => {
  const videoId = await addVideo()
  providers.mux.loseAnswer()
  await expect(ingest(videoId)).rejects.toThrow()
  expect(await video(videoId)).toMatchObject({ status: 'processing', mux_asset_id: null })
  const { id } = assetOf(videoId)
  expect(await record(providers.mux.finish(id, { duration: 1 }))).toEqual({
    recorded: true,
    videoId,
    status: 'ready',
  })
  expect(await ingest(videoId)).toMatchObject({ assetId: id, alreadyIngested: true })
})

test('the webhook comes before the answer to whoever asked: both mean the same asset', async () => {
  const videoId = await addVideo()
  providers.mux.answerNext(async () => {
    const asset = {
      id: `quick-${videoId}`,
      status: 'preparing',
      created_at: `${Math.floor(Date.now() / 1_000)}`,
    }
    const passthrough = JSON.stringify({ tenantId, videoId, ingest: 1 })
    providers.mux.assets.set(asset.id, { ...asset, passthrough } as never)
    await record(providers.mux.finish(asset.id, { duration: 1 }))
    return { status: 201, body: { data: { ...asset, passthrough } } }
  })
  expect(await ingest(videoId)).toMatchObject({ assetId: `quick-${videoId}`, status: 'ready' })
  expect(providers.mux.assets.has(`quick-${videoId}`)).toBe(true)
})

test('a late ready counts after the ingest gave up waiting; an error does not take ready back', async () => {
  const videoId = await addVideo()
  await expect(ingest(videoId)).rejects.toThrow(/Come back/)
  await withTenant(
    tenantId,
    () => sql`UPDATE videos SET status = 'error', error_message = 'late' WHERE id = ${videoId}`,
  )
  const { id } = assetOf(videoId)
  await record(providers.mux.finish(id, { duration: 1 }))
  expect(await video(videoId)).toMatchObject({ status: 'ready', error_message: null })
  expect(await record(providers.mux.fail(id, 'Too late.'))).toMatchObject({ status: 'ready' })
})

test('deleted: the video is, and stays so', async () => {
  const videoId = await addVideo()
  await expect(ingest(videoId)).rejects.toThrow(/Come back/)
  const asset = assetOf(videoId)
  const ready = providers.mux.finish(asset.id, { duration: 1 })
  const deleted = providers.mux.event('video.asset.deleted', asset)
  await expect(record(deleted)).rejects.toThrow(/still has it/)
  await record(ready)
  providers.mux.assets.delete(asset.id)
  expect(await record(deleted)).toEqual({ recorded: true, videoId, status: 'deleted' })
  expect(await record(ready)).toEqual({ recorded: false, reason: 'Mux does not know this asset' })
  expect((await video(videoId)).status).toBe('deleted')
  expect(await record(deleted)).toEqual({ recorded: true, videoId, status: 'deleted' })
})

test('assets of others: unknown, of another tenant, of an ingest that is over', async () => {
  const none = { recorded: false, reason: 'no video of this tenant has this asset' }
  const videoId = await addVideo()
  const make = (passthrough?: string) => {
    const id = randomUUID()
    const asset = { id, status: 'ready', created_at: '1', ...(passthrough && { passthrough }) }
    providers.mux.assets.set(id, asset as never)
    return providers.mux.finish(id, { duration: 1 })
  }
  await expect(ingest(videoId)).rejects.toThrow(/Come back/)
  expect(await record(make())).toEqual(none)
  expect(await record(make('theirs'))).toEqual(none)
  expect(await record(make('{"videoId":5}'))).toEqual(none)
  expect(await record(make(JSON.stringify({ tenantId: 'other', videoId, ingest: 1 })))).toEqual(none)
  expect(await record(make(JSON.stringify({ tenantId, videoId, ingest: 9 })))).toEqual(none)
  expect(await record(make(JSON.stringify({ tenantId, videoId: 'nope', ingest: 1 })))).toEqual(none)
  // A second asset of the same ingest is not the video's.
  expect(await record(make(JSON.stringify({ tenantId, videoId, ingest: 1 })))).toEqual(none)

  const gone = make()
  providers.mux.assets.delete(gone.data.id)
  expect(await record({ ...gone, type: 'video.asset.deleted' })).toEqual(none)
  expect((await video(videoId)).status).toBe('processing')
})

test.each([401, 429, 500])('a %d is no answer about the asset', async (status) => {
  const videoId = await addVideo()
  await expect(ingest(videoId)).rejects.toThrow(/Come back/)
  const event = providers.mux.event('video.asset.deleted', assetOf(videoId))
  providers.mux.answerNext({ status, body: {} })
  await expect(record(event)).rejects.toMatchObject({ status })
  expect((await video(videoId)).status).toBe('processing')
})

test('only events of assets are for this task', () => {
  const object = { type: 'asset', id: 'a1' }
  const of = (type: string, body: object) => payloadOf({ id: 'e1', type, ...body })
  expect(of('video.asset.ready', { object })).toEqual({ assetId: 'a1', event: 'video.asset.ready' })
  expect(of('video.asset.ready', {})).toBeNull()
  expect(of('video.asset.ready', { object: { type: 'asset', id: 5 } })).toBeNull()
  expect(of('video.asset.ready', { object: { type: 'live', id: 'l1' } })).toBeNull()
  expect(of('video.asset.created', { object })).toBeNull()
})
