/** A provider that is away for longer than the attempts last: the row says that nobody tries any more. */
import { expect, test } from 'vitest'
import { ingestVideo } from '../../../tasks/videos/ingest.ts'
import { patientRetry } from '../../../tasks/videos/patience.ts'
import { transcribeVideo } from '../../../tasks/videos/transcribe.ts'
import { kit, tenantId, useProviders } from '../kit.ts'
import { add, find } from '../rows.ts'

const providers = useProviders(['mux', 'assemblyai'], { tasks: [ingestVideo, transcribeVideo] })
const sourceUrl = 'https://cdn.example.com/a.mp4'
const last = { attempt: patientRetry.maxAttempts }

test('ingest: an attempt before the last leaves the row, the last one says why', async () => {
  const videoId = await add(tenantId, 'videos', { title: 'x' })
  const ingest = (options = {}) => kit.runTask(ingestVideo, { tenantId, videoId, sourceUrl }, options)
  providers.mux.answerNext({ status: 503, body: { error: { type: 'x', messages: ['down'] } } }, { times: 4 })
  await expect(ingest()).rejects.toThrow()
  expect(await find(tenantId, 'videos', videoId)).toMatchObject({ status: 'processing', error_message: null })
  await expect(ingest(last)).rejects.toThrow()
  expect(await find(tenantId, 'videos', videoId)).toMatchObject({ status: 'error', error_message: 'down' })
})

test('transcribe: the same', async () => {
  const videoId = await add(tenantId, 'videos', { title: 'x', status: 'ready', source_url: sourceUrl })
  const transcribe = (options = {}) => kit.runTask(transcribeVideo, { tenantId, videoId }, options)
  providers.assemblyai.answerNext({ status: 503, body: { error: 'down' } }, { times: 4 })
  await expect(transcribe()).rejects.toThrow()
  expect(await find(tenantId, 'videos', videoId)).toMatchObject({ transcription_error: null })
  await expect(transcribe(last)).rejects.toThrow()
  expect(await find(tenantId, 'videos', videoId)).toMatchObject({
    transcription_status: 'failed',
    transcription_error: 'down',
  })
})
