import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { recordVideoTranscript } from '../../../tasks/videos/record-transcript.ts'
import { transcribeVideo } from '../../../tasks/videos/transcribe.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { add, find, set } from '../rows.ts'

/** Without a public URL: AssemblyAI is not asked to tell. */
const providers = useProviders(['assemblyai'])

const addVideo = () =>
  add(tenantId, 'videos', { title: 'A video', source_url: `https://cdn.example.com/${randomUUID()}.mp4` })
const video = (id: string) => find(tenantId, 'videos', id)
const transcribe = (videoId: string) => kit.runTask(transcribeVideo, { tenantId, videoId })
const record = (transcriptId: string) => kit.runTask(recordVideoTranscript, { tenantId, transcriptId })

async function transcriptOf(videoId: string): Promise<string> {
  const { source_url } = await video(videoId)
  return [...providers.assemblyai.transcripts.values()].find(({ audio_url }) => audio_url === source_url)!.id
}

test('completed: recorded, and the transcription that waits is done at its next look', async () => {
  const videoId = await addVideo()
  await expect(transcribe(videoId)).rejects.toThrow(/Come back/)
  expect(providers.assemblyai.requests[0]!.body).not.toHaveProperty('webhook_url')
  const id = await transcriptOf(videoId)
  expect(await record(id)).toEqual({ recorded: true, videoId, status: 'processing' })
  providers.assemblyai.complete(id, { text: 'Hello there' })
  expect(await record(id)).toEqual({ recorded: true, videoId, status: 'completed' })
  expect(await video(videoId)).toMatchObject({
    transcription_text: 'Hello there',
    transcription_status: 'completed',
  })
  const row = await video(videoId)
  expect(await record(id)).toEqual({ recorded: true, videoId, status: 'completed' })
  expect(await video(videoId)).toEqual(row)
  expect(await transcribe(videoId)).toMatchObject({ transcriptId: id, words: 2, alreadyTranscribed: true })
})

test('error: the reason is kept; a late success still counts, and no error takes it back', async () => {
  const videoId = await addVideo()
  await expect(transcribe(videoId)).rejects.toThrow(/Come back/)
  const id = await transcriptOf(videoId)
  providers.assemblyai.fail(id, 'No audio.')
  expect(await record(id)).toEqual({ recorded: true, videoId, status: 'failed' })
  expect(await video(videoId)).toMatchObject({ transcription_error: 'No audio.' })
  providers.assemblyai.complete(id, { text: '', words: [] })
  expect(await record(id)).toMatchObject({ status: 'completed' })
  expect(await video(videoId)).toMatchObject({
    transcription_text: '',
    transcription_words: [],
    transcription_error: null,
  })
  providers.assemblyai.fail(id, 'No audio.')
  expect(await record(id)).toMatchObject({ status: 'completed' })
})

test('the worker that asked has died: the webhook gives the video its transcript', async () => {
  const videoId = await addVideo()
  providers.assemblyai.loseAnswer()
  await expect(transcribe(videoId)).rejects.toThrow()
  const id = await transcriptOf(videoId)
  expect((await video(videoId)).transcription_job_id).toBeNull()
  providers.assemblyai.complete(id, { text: 'Hello' })
  expect(await record(id)).toEqual({ recorded: true, videoId, status: 'completed' })
  expect(await transcribe(videoId)).toMatchObject({ transcriptId: id, alreadyTranscribed: true })
})

test('transcripts of others: unknown, of no video, of one that has another, one that failed', async () => {
  const none = { recorded: false, reason: 'no video of this tenant has this transcript' }
  expect(await record('nope')).toEqual({
    recorded: false,
    reason: 'AssemblyAI does not know this transcript',
  })
  const videoId = await addVideo()
  await expect(transcribe(videoId)).rejects.toThrow(/Come back/)
  const id = await transcriptOf(videoId)
  const transcript = providers.assemblyai.transcripts.get(id)!
  const make = (fields: Partial<typeof transcript>) => {
    const other = { ...transcript, id: randomUUID(), ...fields }
    providers.assemblyai.transcripts.set(other.id, other)
    return other.id
  }
  expect(await record(make({ audio_url: 'https://cdn.example.com/other.mp4' }))).toEqual(none)
  expect(await record(make({ status: 'completed', text: 'Not mine' }))).toEqual(none)
  expect(await video(videoId)).toMatchObject({ transcription_job_id: id, transcription_text: null })

  await set(tenantId, 'videos', videoId, 'transcription_job_id', null)
  await set(tenantId, 'videos', videoId, 'transcription_status', 'pending')
  expect(await record(make({ status: 'error', error: 'No.' }))).toEqual(none)
})

test.each([401, 429, 500])('a %d is no answer about the transcript', async (status) => {
  providers.assemblyai.answerNext({ status, body: { error: 'Not now.' } })
  await expect(record('t1')).rejects.toMatchObject({ status })
})

test('what is no event of a transcript is not for this task', () => {
  const of = (body: unknown) =>
    recordVideoTranscript.webhooks[0]!.payload({ id: 'e', type: 'transcript.error', body })
  expect(of({ transcript_id: 't1', status: 'error' })).toEqual({ transcriptId: 't1' })
  for (const body of [null, {}, { transcript_id: '' }, { transcript_id: 5 }]) expect(of(body)).toBeNull()
})
