/**
 * Has a video transcribed by AssemblyAI and waits for it. What comes first tells that it is done: the next look of this
 * task, or AssemblyAI's webhook (videos/record-transcript).
 *
 * AssemblyAI fetches the audio itself, from the source_url of the row (videos/ingest sets it): of a Mux asset it could
 * fetch only what is public and rendered as a file. A signed link has to last until then.
 *
 * It has no idempotency keys. Before it is asked, the row says so (transcript_requested_at). Whoever finds that there and
 * no transcript looks for one of the same audio in AssemblyAI's list, and asks again only once the request of before is
 * over for certain. What is left: one that is not listed by then is made twice, and the first is nobody's.
 *
 * A failed transcription has failed for the runs that took part in it. Another run begins a new one. To transcribe a
 * video again that has a transcript, set its transcription_status to NULL.
 */
import {
  AbortTaskError,
  defineTask,
  readServiceError,
  snooze,
  type TaskContext,
  tenantPayload,
} from '@cgk-platform/jobs'
import { z } from 'zod'
import { findTranscript } from './find-transcript.ts'
import {
  fateOf,
  orGiveUp,
  patienceHours,
  patientRetry,
  reasonOf,
  requestSeconds,
  waitForProvider,
} from './patience.ts'
import { sourceUrl } from './source-url.ts'
import { adoptTranscript, failTranscript, recordTranscript, type Transcript } from './transcript-rows.ts'

/** In order of preference: the first knows fewer languages, the second 99. */
const speechModels = ['universal-3-5-pro', 'universal-2']

export const transcribeVideo = defineTask({
  id: 'videos/transcribe',
  payload: tenantPayload({ videoId: z.string().min(1) }),
  services: ['assemblyai'],
  retry: patientRetry,
  // Shorter than requestSeconds: see there.
  timeout: '1m',

  async run(payload, context) {
    const { sql } = context
    return await orGiveUp(
      context,
      () => transcribe(payload, context),
      (reason) => sql`
        UPDATE videos SET transcription_status = 'failed', transcription_error = ${reason}
        WHERE id = ${payload.videoId} AND transcription_status IN ('pending', 'processing')`,
    )
  },
})

async function transcribe(
  { videoId }: { tenantId: string; videoId: string },
  { sql, transaction, clients, logger, runId }: TaskContext<'assemblyai'>,
) {
  const { assemblyai } = clients
  const video = await transaction(takePart)
  if (video.transcription_status === 'completed') {
    return summary(video.transcription_job_id, video.words, { alreadyTranscribed: true })
  }

  const transcript = video.transcription_job_id
    ? await look(video.transcription_job_id)
    : await findOrRequest(audioOf(video))
  const recorded = await recordTranscript(sql, transcript)
  if (recorded?.transcription_status === 'completed') {
    logger.info({ videoId, transcriptId: transcript.id, words: recorded.words }, 'video is transcribed')
    return summary(transcript.id, recorded.words, { alreadyTranscribed: false })
  }
  if (recorded?.transcription_status === 'failed') throw failedTranscription(recorded.transcription_error)
  if (recorded && recorded.waited_seconds > patienceHours * 3_600) {
    const reason = `AssemblyAI has not finished within ${patienceHours} hours.`
    await failTranscript(sql, transcript.id, reason)
    throw failedTranscription(reason)
  }
  return waitForProvider(recorded?.waited_seconds ?? 0)

  /** Begins a transcription of this video, or joins the one that is under way. */
  async function takePart(): Promise<TranscriptionRow> {
    const found = await sql<TranscriptionRow>`
        SELECT status, source_url, transcription_status, transcription_job_id, transcription_error,
               transcription_started_at, transcript_requested_at, ${runId} = ANY(transcription_runs) AS takes_part,
               coalesce(jsonb_array_length(transcription_words), 0) AS words
        FROM videos WHERE id = ${videoId} FOR NO KEY UPDATE`
    const row = found.rows[0]
    if (!row) throw new AbortTaskError(`There is no video ${videoId}.`)
    if (row.transcription_status === 'completed') return row
    if (row.status === 'deleted') throw new AbortTaskError(`Video ${videoId} is deleted.`)
    if (row.transcription_status === 'failed' && row.takes_part) {
      throw failedTranscription(row.transcription_error)
    }

    const isUnderWay = row.transcription_status === 'pending' || row.transcription_status === 'processing'
    if (isUnderWay && (row.transcription_started_at || row.transcription_job_id)) {
      const joined = await sql<Pick<TranscriptionRow, 'transcription_started_at'>>`
          UPDATE videos SET transcription_started_at = coalesce(transcription_started_at, now()),
            transcription_runs = CASE WHEN ${runId} = ANY(transcription_runs) THEN transcription_runs
                                      ELSE transcription_runs || ${runId}::text END
          WHERE id = ${videoId} RETURNING transcription_started_at`
      return { ...row, ...joined.rows[0]! }
    }

    audioOf(row)
    await sql`
        UPDATE videos SET transcription_status = 'pending', transcription_started_at = now(),
                          transcription_runs = ARRAY[${runId}::text], transcript_requested_at = NULL,
                          transcription_job_id = NULL, transcription_error = NULL
        WHERE id = ${videoId}`
    return {
      ...row,
      transcription_status: 'pending',
      transcription_job_id: null,
      transcript_requested_at: null,
    }
  }

  function audioOf({ source_url }: TranscriptionRow): string {
    const read = sourceUrl.safeParse(source_url)
    if (read.success) return read.data
    throw new AbortTaskError(
      `Video ${videoId} has no source_url that AssemblyAI could fetch (https, a public host): ingest it first.`,
    )
  }

  async function look(transcriptId: string): Promise<Transcript> {
    try {
      return await assemblyai.transcripts.get(transcriptId)
    } catch (error) {
      if (readServiceError(error)?.kind === 'permanent') {
        const reason = `AssemblyAI does not know transcript ${transcriptId}: it was deleted, or the API key is of another account.`
        await failTranscript(sql, transcriptId, reason)
      }
      throw error
    }
  }

  async function findOrRequest(audioUrl: string): Promise<Transcript> {
    if (video.transcript_requested_at !== null) {
      const made = await findTranscript(assemblyai, sql, audioUrl, video.transcription_started_at!)
      if (made) return await keep(await assemblyai.transcripts.get(made))
    }
    const requests = await sql<{ requested_at: string }>`
        UPDATE videos SET transcript_requested_at = now()
        WHERE id = ${videoId} AND transcription_status = 'pending' AND transcription_job_id IS NULL
          AND (transcript_requested_at IS NULL
               OR transcript_requested_at <= now() - make_interval(secs => ${requestSeconds}))
        RETURNING transcript_requested_at::text AS requested_at`
    const request = requests.rows[0]
    // Another run is at it, or a request of before may still be.
    if (!request) return snooze('10s')
    return await keep(await submit(audioUrl, request.requested_at))
  }

  async function submit(audioUrl: string, requestedAt: string): Promise<Transcript> {
    const { webhook } = assemblyai
    try {
      return await assemblyai.transcripts.submit({
        audio_url: audioUrl,
        speech_models: speechModels,
        language_detection: true,
        speaker_labels: true,
        ...(webhook && {
          webhook_url: webhook.url,
          webhook_auth_header_name: webhook.authorization.name,
          webhook_auth_header_value: webhook.authorization.value,
        }),
      })
    } catch (error) {
      const fate = fateOf(error)
      if (fate === 'unknown') throw error
      const failure = readServiceError(error)!
      // Answered with an error: the next attempt need not wait, but when AssemblyAI broke down on it, it looks first.
      await sql`
          UPDATE videos SET
            transcript_requested_at =
              CASE WHEN ${fate === 'answered'} THEN now() - make_interval(secs => ${requestSeconds}) END,
            transcription_status = CASE WHEN ${failure.kind === 'permanent'} THEN 'failed' ELSE transcription_status END,
            transcription_error = CASE WHEN ${failure.kind === 'permanent'} THEN ${reasonOf(failure.message)} END
          WHERE id = ${videoId} AND transcription_status = 'pending' AND transcription_job_id IS NULL
            AND transcript_requested_at = ${requestedAt}::timestamptz`
      throw error
    }
  }

  async function keep(transcript: Transcript): Promise<Transcript> {
    if (await adoptTranscript(sql, transcript.id, videoId)) return transcript
    logger.warn(
      { videoId, transcriptId: transcript.id },
      'the video has another transcript; this one is nobody’s',
    )
    return snooze(0)
  }

  function summary(transcriptId: string | null, words: number, rest: { alreadyTranscribed: boolean }) {
    return { videoId, status: 'completed', transcriptId, words, ...rest }
  }
}

interface TranscriptionRow {
  status: string
  source_url: string | null
  transcription_status: 'pending' | 'processing' | 'completed' | 'failed' | null
  transcription_job_id: string | null
  transcription_error: string | null
  transcription_started_at: Date | null
  transcript_requested_at: Date | null
  takes_part: boolean
  words: number
}

function failedTranscription(reason: string | null): AbortTaskError {
  return new AbortTaskError(
    `AssemblyAI could not transcribe the video: ${reason ?? 'no reason is known.'} Once its source is right, replay this run.`,
  )
}
