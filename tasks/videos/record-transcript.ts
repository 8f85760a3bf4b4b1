/**
 * What AssemblyAI tells about a transcript: completed, or error. The webhook is a hint; the truth is asked for. A
 * transcript that no video of this tenant has is no error.
 */
import { defineTask, readServiceError, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { adoptTranscript, recordTranscript, type Transcript } from './transcript-rows.ts'

const eventBody = z.object({ transcript_id: z.string().min(1) })

export const recordVideoTranscript = defineTask({
  id: 'videos/record-transcript',
  payload: tenantPayload({ transcriptId: z.string().min(1) }),
  services: ['assemblyai'],
  // What triggers it comes once: it is tried for most of a day.
  retry: { maxAttempts: 12, minDelay: '10s', maxDelay: '2h', factor: 3 },
  webhooks: [
    {
      service: 'assemblyai',
      events: ['transcript.completed', 'transcript.error'],
      payload({ body }) {
        const read = eventBody.safeParse(body)
        return read.success ? { transcriptId: read.data.transcript_id } : null
      },
    },
  ],

  async run({ transcriptId }, { sql, clients, logger }) {
    const transcript = await look()
    if (!transcript) return { recorded: false, reason: 'AssemblyAI does not know this transcript' }

    const video = (await recordTranscript(sql, transcript)) ?? (await adoptAndRecord(transcript))
    if (!video) return { recorded: false, reason: 'no video of this tenant has this transcript' }
    const status = video.transcription_status
    logger.info({ videoId: video.id, transcriptId, status }, 'transcript recorded')
    return { recorded: true, videoId: video.id, status }

    async function look(): Promise<Transcript | null> {
      try {
        return await clients.assemblyai.transcripts.get(transcriptId)
      } catch (error) {
        if (readServiceError(error)?.kind === 'permanent') return null
        throw error
      }
    }

    /** A worker may have died between asking for this transcript and keeping its id. */
    async function adoptAndRecord(transcript: Transcript) {
      if (transcript.status === 'error') return null
      const waiting = await sql<{ id: string }>`
        SELECT id FROM videos
        WHERE source_url = ${transcript.audio_url} AND transcription_status = 'pending'
          AND transcription_job_id IS NULL AND transcript_requested_at IS NOT NULL
        ORDER BY transcript_requested_at LIMIT 1`
      const videoId = waiting.rows[0]?.id
      if (!videoId || !(await adoptTranscript(sql, transcript.id, videoId))) return null
      return await recordTranscript(sql, transcript)
    }
  },
})
