/** Looks for a transcript that AssemblyAI may be making without our having its id. */
import type { TaskContext } from '@cgk-platform/jobs'
import type { AssemblyAI } from './transcript-rows.ts'

const pageSize = 100
/** Not found among so many, it is made a second time: that costs its price, and nothing else. */
const mostPages = 5
/** AssemblyAI's clock and ours differ. */
const slackMs = 60_000

/**
 * Nothing tells a transcript's owner but the URL of its audio, so this reads the list, newest first, for one of this
 * audio that began since, and that no video has.
 */
export async function findTranscript(
  assemblyai: AssemblyAI,
  sql: TaskContext['sql'],
  audioUrl: string,
  startedAt: Date,
): Promise<string | null> {
  const since = startedAt.getTime() - slackMs
  let before: string | undefined
  for (let pages = 0; pages < mostPages; pages += 1) {
    const { transcripts } = await assemblyai.transcripts.list({
      limit: pageSize,
      ...(before && { before_id: before }),
    })
    const recent = transcripts.filter(({ created }) => createdAt(created) >= since)
    const ids = recent
      .filter((one) => one.audio_url === audioUrl && one.status !== 'error')
      .map(({ id }) => id)
    const free = await sql<{ id: string }>`
      SELECT listed.id FROM unnest(${ids}::text[]) AS listed (id)
      WHERE NOT EXISTS (SELECT FROM videos WHERE transcription_job_id = listed.id) LIMIT 1`
    if (free.rows[0]) return free.rows[0].id
    before = transcripts.at(-1)?.id
    if (transcripts.length < pageSize || recent.length === 0) break
  }
  return null
}

/**
 * The list says UTC without a zone, and the SDK reads that as the time of wherever this runs. The later of both readings:
 * at worst it takes a transcript of the same audio that is some hours older.
 */
function createdAt(created: Date): number {
  return created.getTime() + Math.max(0, -created.getTimezoneOffset() * 60_000)
}
