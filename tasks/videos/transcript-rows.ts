/**
 * What is kept of an AssemblyAI transcript. Used by videos/transcribe, which asks, and by videos/record-transcript, which
 * is told. A transcription goes from pending to processing to completed or failed; a late success still counts after a
 * failure (videos/transcribe gave up waiting), and nothing else goes back.
 */
import type { TaskContext } from '@cgk-platform/jobs'
import { reasonOf } from './patience.ts'

type Sql = TaskContext['sql']
export type AssemblyAI = TaskContext<'assemblyai'>['clients']['assemblyai']
export type Transcript = Awaited<ReturnType<AssemblyAI['transcripts']['get']>>

export interface TranscriptVideo {
  id: string
  transcription_status: 'pending' | 'processing' | 'completed' | 'failed' | null
  transcription_error: string | null
  /** How many words it has. */
  words: number
  waited_seconds: number
}

/** Makes it the transcript of the video. False: the video has another one, or does not wait for one. */
export async function adoptTranscript(sql: Sql, transcriptId: string, videoId: string): Promise<boolean> {
  const adopted = await sql`
    UPDATE videos SET transcription_job_id = ${transcriptId},
      transcription_status = CASE WHEN transcription_job_id IS NULL THEN 'processing' ELSE transcription_status END
    WHERE id = ${videoId} AND (transcription_job_id = ${transcriptId}
                               OR (transcription_job_id IS NULL AND transcription_status = 'pending'))`
  return adopted.rowCount === 1
}

/** Null: no video of this tenant has this transcript. */
export async function recordTranscript(sql: Sql, transcript: Transcript): Promise<TranscriptVideo | null> {
  if (transcript.status === 'completed') {
    const words = transcript.words?.map(({ text, start, end, confidence, speaker }) => ({
      text,
      start,
      end,
      confidence,
      speaker: speaker ?? null,
    }))
    await sql`
      UPDATE videos SET transcription_status = 'completed', transcription_text = ${transcript.text ?? ''},
                        transcription_words = ${sql.json(words ?? [])}, transcription_error = NULL
      WHERE transcription_job_id = ${transcript.id} AND transcription_status IN ('pending', 'processing', 'failed')`
  }
  if (transcript.status === 'error') {
    await failTranscript(sql, transcript.id, reasonOf(transcript.error) ?? 'AssemblyAI does not say why.')
  }
  const found = await sql<TranscriptVideo>`
    SELECT id, transcription_status, transcription_error,
           coalesce(jsonb_array_length(transcription_words), 0) AS words,
           extract(epoch FROM now() - coalesce(transcription_started_at, created_at))::float8 AS waited_seconds
    FROM videos WHERE transcription_job_id = ${transcript.id}`
  return found.rows[0] ?? null
}

export async function failTranscript(sql: Sql, transcriptId: string, reason: string): Promise<void> {
  await sql`
    UPDATE videos SET transcription_status = 'failed', transcription_error = ${reason}
    WHERE transcription_job_id = ${transcriptId} AND transcription_status IN ('pending', 'processing')`
}
