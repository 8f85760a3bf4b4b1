import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { runs, sql, withTenant } from '../../../src/default-platform.ts'
import { SnoozeError } from '../../../src/errors.ts'
import { ingestVideo } from '../../../tasks/videos/ingest.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { add, find, set } from '../rows.ts'

const providers = useProviders(['mux'], { tasks: [ingestVideo] })

const sourceUrl = 'https://cdn.example.com/a.mp4?signature=one'
const addVideo = (fields: object = {}) => add(tenantId, 'videos', { title: 'A video', ...fields })
const video = (id: string) => find(tenantId, 'videos', id)
const run = (videoId: string, runId: string = randomUUID(), url = sourceUrl) =>
  kit.runTask(ingestVideo, { tenantId, videoId, sourceUrl: url }, { runId })

const creates = () => providers.mux.received('POST', '/video/v1/assets')
const isCreate = { matches: ({ method }: { method: string }) => method === 'POST' }
const assetsOf = (videoId: string) =>
  [...providers.mux.assets.values()].filter(({ passthrough }) => passthrough?.includes(videoId))

/** The attempt ended, and the run comes back. */
async function expectSnooze(attempt: Promise<unknown>): Promise<number> {
  const error = await attempt.then(
    (output) => expect.fail(`It answered ${JSON.stringify(output)}`),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(SnoozeError)
  return (error as SnoozeError).delayMs
}

/** As if it had been a while ago that Mux was asked. */
async function letRequestEnd(videoId: string): Promise<void> {
  await withTenant(
    tenantId,
    () =>
      sql`UPDATE videos SET asset_requested_at = asset_requested_at - interval '3 minutes' WHERE id = ${videoId}`,
  )
}

test('one asset that carries its tenant and video; the run waits and then answers it', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  expect(await expectSnooze(run(videoId, runId))).toBe(5_000)

  const [asset] = assetsOf(videoId)
  expect(JSON.parse(asset!.passthrough!)).toEqual({ tenantId, videoId, ingest: 1 })
  expect(creates()).toMatchObject([
    {
      body: { inputs: [{ url: sourceUrl }], playback_policies: ['public'] },
      headers: { 'idempotency-key': `videos/ingest:${tenantId}:${videoId}:1` },
    },
  ])
  expect(await video(videoId)).toMatchObject({
    status: 'processing',
    source_url: sourceUrl,
    mux_asset_id: asset!.id,
    ingest_runs: [runId],
  })
  await expectSnooze(run(videoId, runId))

  providers.mux.finish(asset!.id, { duration: 12.5 })
  const ready = {
    videoId,
    status: 'ready',
    assetId: asset!.id,
    playbackId: asset!.playback_ids![0]!.id,
    durationSeconds: 12.5,
  }
  expect(await run(videoId, runId)).toEqual({ ...ready, alreadyIngested: false })
  expect(await video(videoId)).toMatchObject({
    status: 'ready',
    mux_playback_id: ready.playbackId,
    duration_seconds: 12.5,
  })
  const before = providers.mux.requests.length
  expect(await run(videoId, runId)).toEqual({ ...ready, alreadyIngested: true })
  expect(await run(videoId)).toEqual({ ...ready, alreadyIngested: true })
  expect(providers.mux.requests).toHaveLength(before)
})

test('a worker that dies between the call and the write leaves one asset, which the next attempt finds', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.mux.loseAnswer(undefined, isCreate)
  await expect(run(videoId, runId)).rejects.toThrow()
  expect(assetsOf(videoId)).toHaveLength(1)
  expect(await video(videoId)).toMatchObject({ status: 'processing', mux_asset_id: null })

  await expectSnooze(run(videoId, runId))
  expect(creates()).toHaveLength(1)
  expect((await video(videoId)).mux_asset_id).toBe(assetsOf(videoId)[0]!.id)
})

test.each([
  ['the connection breaks', { instead: 'reset' as const }],
  ['nobody answers in time', { instead: 'silence' as const }],
  ['a gateway gives up', { status: 504, body: {} }],
])(
  'when %s, Mux is asked again only once that request is over for certain, with the same key',
  async (_, lost) => {
    const videoId = await addVideo()
    const runId = randomUUID()
    providers.mux.answerNext(lost, isCreate)
    await expect(run(videoId, runId)).rejects.toThrow()
    expect(await expectSnooze(run(videoId, runId))).toBe(10_000)
    expect(creates()).toHaveLength(1)

    await letRequestEnd(videoId)
    await expectSnooze(run(videoId, runId))
    const keys = creates().map(({ headers }) => headers['idempotency-key'])
    expect(keys).toEqual(Array(2).fill(`videos/ingest:${tenantId}:${videoId}:1`))
    expect(assetsOf(videoId)).toHaveLength(1)
  },
)

test('an answer that Mux broke down is looked after and asked again at once', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.mux.answerNext({ status: 500, body: {} }, isCreate)
  await expect(run(videoId, runId)).rejects.toMatchObject({ status: 500 })
  await expectSnooze(run(videoId, runId))
  expect(providers.mux.received('GET', '/video/v1/assets')).toHaveLength(1)
  expect(assetsOf(videoId)).toHaveLength(1)

  const other = await addVideo()
  providers.mux.loseAnswer({ status: 500, body: {} }, isCreate)
  await expect(run(other)).rejects.toMatchObject({ status: 500 })
  await expectSnooze(run(other))
  expect(assetsOf(other)).toHaveLength(1)
})

test('runs at once for one video make one asset', async () => {
  const videoId = await addVideo()
  const runIds = Array.from({ length: 6 }, () => randomUUID())
  const delays = await Promise.all(runIds.map((runId) => expectSnooze(run(videoId, runId))))
  expect(delays).toHaveLength(6)
  expect(creates()).toHaveLength(1)
  providers.mux.finish(assetsOf(videoId)[0]!.id, { duration: 1 })
  const answers = await Promise.all(runIds.map((runId) => run(videoId, runId)))
  expect(new Set(answers.map(({ assetId }) => assetId)).size).toBe(1)
  expect((await video(videoId)).ingest_runs.toSorted()).toEqual(runIds.toSorted())
})

test('a sender whose asset comes too late deletes its own', async () => {
  const videoId = await addVideo()
  providers.mux.answerNext(async () => {
    // It was frozen: others have looked, found nothing, and made the asset.
    await letRequestEnd(videoId)
    await expectSnooze(run(videoId))
    const { body } = creates()[0]!
    const late = {
      ...structuredClone(assetsOf(videoId)[0]!),
      id: `late-${videoId}`,
      passthrough: body.passthrough,
    }
    providers.mux.assets.set(late.id, late)
    return { status: 201, body: { data: late } }
  }, isCreate)
  expect(await expectSnooze(run(videoId))).toBe(0)
  expect(assetsOf(videoId)).toHaveLength(1)
  expect((await video(videoId)).mux_asset_id).toBe(assetsOf(videoId)[0]!.id)
})

test('Mux is searched back to the beginning of the ingest, over pages, and no further', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.mux.loseAnswer(undefined, isCreate)
  await expect(run(videoId, runId)).rejects.toThrow()
  const lost = assetsOf(videoId)[0]!
  for (let n = 0; n < 150; n += 1)
    providers.mux.assets.set(`n${n}`, { ...lost, id: `n${n}`, passthrough: `${n}` })
  await expectSnooze(run(videoId, runId))
  expect((await video(videoId)).mux_asset_id).toBe(lost.id)
  expect(providers.mux.received('GET', '/video/v1/assets')).toHaveLength(2)

  for (let n = 0; n < 150; n += 1)
    Object.assign(providers.mux.assets.get(`n${n}`)!, { created_at: '1600000000' })
  const other = await addVideo()
  providers.mux.answerNext({ instead: 'reset' }, isCreate)
  await expect(run(other)).rejects.toThrow()
  providers.mux.requests.splice(0)
  await expectSnooze(run(other))
  expect(providers.mux.requests).toHaveLength(1)
  for (let n = 0; n < 150; n += 1) providers.mux.assets.delete(`n${n}`)
})

test('where the list is too long to say that there is no asset, none is made', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.mux.answerNext({ instead: 'reset' }, isCreate)
  await expect(run(videoId, runId)).rejects.toThrow()
  const asset = { id: 'x', status: 'preparing', created_at: '9999999999' }
  providers.mux.answerNext({ body: { data: [asset], next_cursor: 'more' } }, { times: 50 })
  await expectAbort(run(videoId, runId), /not among its newest 5000.*uploading/)
  expect(providers.mux.received('GET', '/video/v1/assets')).toHaveLength(50)
})

test('a source that Mux cannot use fails the runs that took part; another run begins anew', async () => {
  const videoId = await addVideo()
  const [runId, sameTime] = [randomUUID(), randomUUID()]
  await expectSnooze(run(videoId, runId))
  await expectSnooze(run(videoId, sameTime))
  const failed = assetsOf(videoId)[0]!
  providers.mux.fail(failed.id, 'Could not download https://cdn.example.com/a.mp4?signature=one today.')
  await expectAbort(run(videoId, runId), /Could not download \[link\] today.*replay/)
  await expectAbort(run(videoId, sameTime), /Could not download/)
  await expectAbort(run(videoId, runId), /Could not download/)
  expect(await video(videoId)).toMatchObject({
    status: 'error',
    error_message: 'Could not download [link] today.',
  })
  expect(creates()).toHaveLength(1)

  const replay = randomUUID()
  await expectSnooze(run(videoId, replay, 'https://cdn.example.com/b.mp4'))
  expect(creates()[1]!.headers['idempotency-key']).toBe(`videos/ingest:${tenantId}:${videoId}:2`)
  const { mux_asset_id, ...row } = await video(videoId)
  expect(row).toMatchObject({
    status: 'processing',
    error_message: null,
    source_url: 'https://cdn.example.com/b.mp4',
    ingest_runs: [replay],
  })
  providers.mux.finish(mux_asset_id, { duration: 3 })
  expect(await run(videoId, replay, 'https://cdn.example.com/b.mp4')).toMatchObject({ assetId: mux_asset_id })
})

const refuse = (status: number) =>
  providers.mux.answerNext({ status, body: { error: { type: 'no', messages: ['Not this.'] } } }, isCreate)

test('what Mux refuses for good is an error of the video', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  refuse(400)
  await expect(run(videoId, runId)).rejects.toMatchObject({ status: 400 })
  expect(await video(videoId)).toMatchObject({ status: 'error', error_message: 'Not this.' })
  await expectAbort(run(videoId, runId), /Not this/)
  await expectSnooze(run(videoId))
  expect(assetsOf(videoId)).toHaveLength(1)
})

test.each([401, 429])('a %d leaves it to be asked again', async (status) => {
  const videoId = await addVideo()
  refuse(status)
  await expect(run(videoId)).rejects.toMatchObject({ status })
  expect(await video(videoId)).toMatchObject({ status: 'processing', asset_requested_at: null })
})

test('the looks come less and less often, and after a day the ingest has failed', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  await expectSnooze(run(videoId, runId))
  const began = (ago: number) =>
    set(tenantId, 'videos', videoId, 'ingest_started_at', new Date(Date.now() - ago))
  await began(60_000)
  expect(await expectSnooze(run(videoId, runId))).toBeCloseTo(30_000, -3)
  await began(3_600_000)
  expect(await expectSnooze(run(videoId, runId))).toBe(300_000)
  await began(25 * 3_600_000)
  await expectAbort(run(videoId, runId), /not finished within 24 hours/)
  expect(await video(videoId)).toMatchObject({ status: 'error' })
})

test('an asset that Mux does not know any more is an error', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  await expectSnooze(run(videoId, runId))
  providers.mux.assets.delete((await video(videoId)).mux_asset_id)
  await expect(run(videoId, runId)).rejects.toMatchObject({ status: 404 })
  expect(await video(videoId)).toMatchObject({
    status: 'error',
    error_message: expect.stringMatching(/does not know/),
  })
})

test('an asset that was there before is waited for', async () => {
  const mux_asset_id = `old-${randomUUID()}`
  const videoId = await addVideo({ status: 'processing', mux_asset_id })
  providers.mux.assets.set(mux_asset_id, { id: mux_asset_id, status: 'preparing', created_at: '1' } as never)
  await expectSnooze(run(videoId))
  expect(await video(videoId)).toMatchObject({ ingest_started_at: expect.any(Date), source_url: null })
  expect(creates()).toHaveLength(0)

  const untouched = await addVideo({ status: 'processing' })
  await expectSnooze(run(untouched))
  expect(assetsOf(untouched)).toHaveLength(1)
})

test('no such video, a deleted one, another source, an id that is too long', async () => {
  await expectAbort(run('nope'), /no video nope/)
  await expectAbort(run(await addVideo({ status: 'deleted' })), /is deleted/)
  const videoId = await addVideo()
  await expectSnooze(run(videoId))
  await expectAbort(run(videoId, randomUUID(), 'https://cdn.example.com/b.mp4'), /another source/)
  await expectSnooze(run(videoId, randomUUID(), 'https://cdn.example.com/a.mp4?signature=two'))
  const id = 'v'.repeat(250)
  await addVideo({ id })
  await expectAbort(run(id), /too long for Mux/)
  expect((await video(id)).status).toBe('uploading')
  for (const url of ['http://cdn.example.com/a.mp4', 'https://169.254.169.254/a', 'https://localhost/a']) {
    await expect(run(videoId, randomUUID(), url)).rejects.toMatchObject({ code: 'PAYLOAD_INVALID' })
  }
})

test('a video that is deleted while Mux is asked has its asset deleted', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.mux.loseAnswer(undefined, isCreate)
  await expect(run(videoId, runId)).rejects.toThrow()
  providers.mux.answerNext(async () => {
    await set(tenantId, 'videos', videoId, 'status', 'deleted')
    return { body: { data: [structuredClone(assetsOf(videoId)[0]!)], next_cursor: null } }
  })
  expect(await expectSnooze(run(videoId, runId))).toBe(0)
  expect(assetsOf(videoId)).toEqual([])
  await expectAbort(run(videoId, runId), /is deleted/)

  const other = await addVideo()
  await expectSnooze(run(other))
  const { id } = assetsOf(other)[0]!
  providers.mux.answerNext(async () => {
    await set(tenantId, 'videos', other, 'status', 'deleted')
    return { body: { data: structuredClone(providers.mux.assets.get(id)) } }
  })
  await expectAbort(run(other), /deleted while/)
})

test('on a worker: it snoozes without spending attempts, and completes', async () => {
  const videoId = await addVideo()
  const { id } = await ingestVideo.trigger({ tenantId, videoId, sourceUrl })
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'scheduled' })
  providers.mux.finish(assetsOf(videoId)[0]!.id, { duration: 2 })
  await kit.advance('10m')
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'completed', output: { status: 'ready' }, attempt: 1 })
})
