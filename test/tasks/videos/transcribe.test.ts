import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { runs, sql, withTenant } from '../../../src/default-platform.ts'
import { SnoozeError } from '../../../src/errors.ts'
import { transcribeVideo } from '../../../tasks/videos/transcribe.ts'
import { expectAbort, kit, tenantId, useProviders } from '../kit.ts'
import { add, find, set } from '../rows.ts'
import { listNext } from './transcripts.ts'

const providers = useProviders(['assemblyai'], {
  publicUrl: 'https://jobs.example.com',
  tasks: [transcribeVideo],
})

const source = () => `https://cdn.example.com/${randomUUID()}.mp4`
const addVideo = (fields: object = {}) =>
  add(tenantId, 'videos', { title: 'A video', status: 'ready', source_url: source(), ...fields })
const video = (id: string) => find(tenantId, 'videos', id)
const run = (videoId: string, runId: string = randomUUID()) =>
  kit.runTask(transcribeVideo, { tenantId, videoId }, { runId })

const submits = () => providers.assemblyai.received('POST', '/v2/transcript')
const lists = () => providers.assemblyai.received('GET', '/v2/transcript')
const isSubmit = { matches: ({ method }: { method: string }) => method === 'POST' }

async function transcriptsOf(videoId: string) {
  const { source_url } = await video(videoId)
  return [...providers.assemblyai.transcripts.values()].filter(({ audio_url }) => audio_url === source_url)
}

async function expectSnooze(attempt: Promise<unknown>): Promise<number> {
  const error = await attempt.then(
    (output) => expect.fail(`It answered ${JSON.stringify(output)}`),
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(SnoozeError)
  return (error as SnoozeError).delayMs
}

async function letRequestEnd(videoId: string): Promise<void> {
  await withTenant(
    tenantId,
    () => sql`
      UPDATE videos SET transcript_requested_at = transcript_requested_at - interval '3 minutes' WHERE id = ${videoId}`,
  )
}

test('text and words of the source, after a wait that holds no worker', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  expect(await expectSnooze(run(videoId, runId))).toBe(5_000)
  const { source_url, ...row } = await video(videoId)
  const [transcript] = await transcriptsOf(videoId)
  expect(submits()).toHaveLength(1)
  expect(submits()[0]!.body).toEqual({
    audio_url: source_url,
    speech_models: ['universal-3-5-pro', 'universal-2'],
    language_detection: true,
    speaker_labels: true,
    webhook_url: `https://jobs.example.com/webhooks/${tenantId}/assemblyai`,
    webhook_auth_header_name: expect.any(String),
    webhook_auth_header_value: expect.any(String),
  })
  expect(row).toMatchObject({ transcription_status: 'processing', transcription_job_id: transcript!.id })

  providers.assemblyai.process(transcript!.id)
  await expectSnooze(run(videoId, runId))
  const words = [{ text: 'Hello', start: 0, end: 400, confidence: 0.9, speaker: 'A', channel: '1' }]
  providers.assemblyai.complete(transcript!.id, { text: 'Hello.', words })
  const answer = { videoId, status: 'completed', transcriptId: transcript!.id, words: 1 }
  expect(await run(videoId, runId)).toEqual({ ...answer, alreadyTranscribed: false })
  expect(await video(videoId)).toMatchObject({
    transcription_status: 'completed',
    transcription_text: 'Hello.',
    transcription_words: [{ text: 'Hello', start: 0, end: 400, confidence: 0.9, speaker: 'A' }],
  })
  providers.assemblyai.requests.splice(0)
  expect(await run(videoId)).toEqual({ ...answer, alreadyTranscribed: true })
  expect(providers.assemblyai.requests).toEqual([])
})

test('a lost answer: the next attempt finds the transcript by its audio', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.assemblyai.loseAnswer(undefined, isSubmit)
  await expect(run(videoId, runId)).rejects.toMatchObject({ code: 'connection_error' })
  expect(await video(videoId)).toMatchObject({ transcription_status: 'pending', transcription_job_id: null })
  listNext(providers.assemblyai)
  await expectSnooze(run(videoId, runId))
  expect(submits()).toHaveLength(1)
  expect((await video(videoId)).transcription_job_id).toBe((await transcriptsOf(videoId))[0]!.id)
})

test('it is not one that another video has, that failed, or that began before', async () => {
  const source_url = source()
  const runId = randomUUID()
  const [first, second] = [await addVideo({ source_url }), await addVideo({ source_url })]
  await expectSnooze(run(first))
  providers.assemblyai.answerNext({ instead: 'reset' }, isSubmit)
  await expect(run(second, runId)).rejects.toThrow()
  listNext(providers.assemblyai)
  expect(await expectSnooze(run(second, runId))).toBe(10_000)

  const of = async (videoId: string) => (await video(videoId)).transcription_job_id
  await set(tenantId, 'videos', first, 'transcription_job_id', null)
  const { id } = (await transcriptsOf(first))[0]!
  providers.assemblyai.calm()
  listNext(providers.assemblyai, () => new Date(Date.now() - 24 * 3_600_000))
  expect(await expectSnooze(run(second, runId))).toBe(10_000)
  providers.assemblyai.calm()
  listNext(providers.assemblyai)
  providers.assemblyai.fail(id, 'No.')
  expect(await expectSnooze(run(second, runId))).toBe(10_000)
  providers.assemblyai.process(id)
  await expectSnooze(run(second, runId))
  expect(await of(second)).toBe(id)
})

test('the list is read over pages, back to the beginning and no further than some hundreds', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.assemblyai.loseAnswer(undefined, isSubmit)
  await expect(run(videoId, runId)).rejects.toThrow()
  const made = (await transcriptsOf(videoId))[0]!
  const fill = (count: number) => {
    for (let n = 0; n < count; n += 1) {
      const id = randomUUID()
      providers.assemblyai.transcripts.set(id, { ...made, id, audio_url: 'https://other.example/a' })
    }
  }
  fill(150)
  listNext(providers.assemblyai)
  await expectSnooze(run(videoId, runId))
  expect(lists().map(({ query }) => query.has('before_id'))).toEqual([false, true])
  expect((await video(videoId)).transcription_job_id).toBe(made.id)

  const other = await addVideo()
  providers.assemblyai.answerNext({ instead: 'reset' }, isSubmit)
  await expect(run(other, runId)).rejects.toThrow()
  fill(500)
  providers.assemblyai.requests.splice(0)
  expect(await expectSnooze(run(other, runId))).toBe(10_000)
  expect(lists()).toHaveLength(5)
  providers.assemblyai.calm()
  providers.assemblyai.requests.splice(0)
  listNext(providers.assemblyai, () => new Date(0))
  await expectSnooze(run(other, runId))
  expect(lists()).toHaveLength(1)
})

test.each([
  ['the connection breaks', { instead: 'reset' as const }, 1],
  ['AssemblyAI breaks down', { status: 500, body: { error: 'Server error' } }, 0],
])('when %s and there is none, it is asked again', async (_, lost, waits) => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.assemblyai.answerNext(lost, isSubmit)
  await expect(run(videoId, runId)).rejects.toThrow()
  listNext(providers.assemblyai)
  for (let n = 0; n < waits; n += 1) {
    expect(await expectSnooze(run(videoId, runId))).toBe(10_000)
    expect(submits()).toHaveLength(1)
    await letRequestEnd(videoId)
  }
  await expectSnooze(run(videoId, runId))
  expect(submits()).toHaveLength(2)
  expect(await transcriptsOf(videoId)).toHaveLength(1)
})

test('runs at once for one video submit it once', async () => {
  const videoId = await addVideo()
  const runIds = Array.from({ length: 6 }, () => randomUUID())
  listNext(providers.assemblyai)
  await Promise.all(runIds.map((runId) => expectSnooze(run(videoId, runId))))
  expect(submits()).toHaveLength(1)
  providers.assemblyai.complete((await transcriptsOf(videoId))[0]!.id, { text: 'Yes.' })
  await Promise.all(runIds.map((runId) => run(videoId, runId)))
  expect((await video(videoId)).transcription_runs.toSorted()).toEqual(runIds.toSorted())
})

test('a transcript that comes too late, because the video has another, is nobody’s', async () => {
  const videoId = await addVideo()
  const other = randomUUID()
  providers.assemblyai.loseAnswer(async () => {
    await withTenant(
      tenantId,
      () => sql`
        UPDATE videos SET transcription_job_id = ${other}, transcription_status = 'processing' WHERE id = ${videoId}`,
    )
    return { body: structuredClone((await transcriptsOf(videoId))[0]) }
  }, isSubmit)
  expect(await expectSnooze(run(videoId))).toBe(0)
  expect((await video(videoId)).transcription_job_id).toBe(other)
})

test('a failure is one for the runs that took part; another run begins anew', async () => {
  const videoId = await addVideo()
  const [runId, sameTime] = [randomUUID(), randomUUID()]
  await expectSnooze(run(videoId, runId))
  await expectSnooze(run(videoId, sameTime))
  const { id } = (await transcriptsOf(videoId))[0]!
  providers.assemblyai.fail(id, 'Download error, unable to download https://cdn.example.com/a?secret=1')
  await expectAbort(run(videoId, runId), /unable to download \[link\].*replay/)
  await expectAbort(run(videoId, sameTime), /unable to download/)
  expect(await video(videoId)).toMatchObject({
    transcription_status: 'failed',
    transcription_error: 'Download error, unable to download [link]',
    status: 'ready',
  })
  expect(submits()).toHaveLength(1)
  await expectSnooze(run(videoId))
  expect(submits()).toHaveLength(2)
  expect(await video(videoId)).toMatchObject({
    transcription_status: 'processing',
    transcription_error: null,
  })
})

test('what AssemblyAI refuses for good has failed', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  providers.assemblyai.answerNext({ status: 400, body: { error: 'Not this.' } }, isSubmit)
  await expect(run(videoId, runId)).rejects.toMatchObject({ status: 400 })
  expect(await video(videoId)).toMatchObject({
    transcription_status: 'failed',
    transcription_error: 'Not this.',
  })
  await expectAbort(run(videoId, runId), /Not this/)
})

test.each([401, 429])('a %d leaves it to be asked again', async (status) => {
  const videoId = await addVideo()
  providers.assemblyai.answerNext({ status, body: { error: 'Wait.' } }, isSubmit)
  await expect(run(videoId)).rejects.toMatchObject({ status })
  expect(await video(videoId)).toMatchObject({
    transcription_status: 'pending',
    transcript_requested_at: null,
  })
})

test('after a day, or when AssemblyAI does not know the transcript any more, it has failed', async () => {
  const videoId = await addVideo()
  const runId = randomUUID()
  await expectSnooze(run(videoId, runId))
  await set(tenantId, 'videos', videoId, 'transcription_started_at', new Date(Date.now() - 25 * 3_600_000))
  await expectAbort(run(videoId, runId), /not finished within 24 hours/)
  expect((await video(videoId)).transcription_status).toBe('failed')

  const other = await addVideo()
  await expectSnooze(run(other))
  providers.assemblyai.transcripts.delete((await video(other)).transcription_job_id)
  await expect(run(other)).rejects.toMatchObject({ status: 400 })
  expect(await video(other)).toMatchObject({
    transcription_status: 'failed',
    transcription_error: expect.stringMatching(/does not know/),
  })
})

test('a transcription that was under way before is waited for; one that was only meant to be begins', async () => {
  const first = await addVideo()
  await expectSnooze(run(first))
  await set(tenantId, 'videos', first, 'transcription_started_at', null)
  await expectSnooze(run(first))
  expect(submits()).toHaveLength(1)
  expect((await video(first)).transcription_started_at).toBeInstanceOf(Date)
  await expectSnooze(run(await addVideo({ transcription_status: 'pending' })))
  expect(submits()).toHaveLength(2)
})

test('no such video, a deleted one, one without a source that may be fetched', async () => {
  await expectAbort(run('nope'), /no video nope/)
  await expectAbort(run(await addVideo({ status: 'deleted' })), /is deleted/)
  for (const source_url of [null, 'http://cdn.example.com/a.mp4', 'https://10.0.0.1/a.mp4']) {
    const videoId = await addVideo({ source_url })
    await expectAbort(run(videoId), /ingest it first/)
    expect((await video(videoId)).transcription_status).toBeNull()
  }
  expect(providers.assemblyai.requests).toEqual([])
})

test('on a worker: it snoozes without spending attempts, and completes', async () => {
  const videoId = await addVideo()
  const { id } = await transcribeVideo.trigger({ tenantId, videoId })
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'scheduled' })
  providers.assemblyai.complete((await transcriptsOf(videoId))[0]!.id, { text: 'Two words' })
  await kit.advance('10m')
  await kit.drain()
  expect(await runs.get(id)).toMatchObject({ state: 'completed', output: { words: 2 }, attempt: 1 })
})
