/**
 * Gives a video to Mux, which makes one asset of it, and waits until it can be played. What comes first tells so: the
 * next look of this task, or Mux's webhook (videos/record-asset).
 *
 * Exactly one asset, though Mux documents no idempotency keys (one is sent all the same):
 *  - Before Mux is asked, the row says so (asset_requested_at). Whoever finds that there and no asset, a retry or another
 *    run, first looks in Mux's list for the asset that carries this ingest in its passthrough.
 *  - When there is none, it is asked again only once the request of before is over for certain (requestSeconds). Of
 *    several runs the guarded update lets one through.
 *  - The webhook knows the passthrough too, and gives the row its asset when the worker that asked has died.
 *  - A sender whose asset comes too late, because the row has another, deletes its own.
 * What is left: an asset that Mux makes and does not list within requestSeconds, and whose webhook does not reach us
 * either, becomes a second one, unknown to the row.
 *
 * A failed ingest has failed for the runs that took part in it. Another run (a replay, a trigger) begins a new one, with
 * a new asset.
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
import { passthroughOf } from './asset-passthrough.ts'
import { type Asset, type AssetVideo, adoptAsset, failAsset, recordAsset } from './asset-rows.ts'
import { findAsset } from './find-asset.ts'
import {
  fateOf,
  orGiveUp,
  patienceHours,
  patientRetry,
  reasonOf,
  requestSeconds,
  waitForProvider,
} from './patience.ts'
import { isSameSource, sourceUrl } from './source-url.ts'

export const ingestVideo = defineTask({
  id: 'videos/ingest',
  payload: tenantPayload({ videoId: z.string().min(1), sourceUrl }),
  services: ['mux'],
  retry: patientRetry,
  // Shorter than requestSeconds: see there.
  timeout: '1m',

  async run(payload, context) {
    const { sql } = context
    return await orGiveUp(
      context,
      () => ingest(payload, context),
      (reason) => sql`
        UPDATE videos SET status = 'error', error_message = ${reason}
        WHERE id = ${payload.videoId} AND status = 'processing'`,
    )
  },
})

async function ingest(
  { tenantId, videoId, sourceUrl }: { tenantId: string; videoId: string; sourceUrl: string },
  { sql, transaction, clients, logger, runId }: TaskContext<'mux'>,
) {
  const { mux } = clients
  const columns = sql.join(ingestColumns.map((column) => sql.identifier(column)))
  const video = await transaction(takePart)
  if (video.status === 'ready') return { ...summary(video), alreadyIngested: true }

  const owner = { tenantId, videoId, ingest: video.ingest_number }
  const passthrough = passthroughOf(owner)
  const asset = video.mux_asset_id ? await look(video.mux_asset_id) : await findOrMakeAsset()
  const recorded = await recordAsset(sql, asset)
  switch (recorded?.status) {
    case 'ready':
      logger.info({ videoId, assetId: asset.id }, 'video is ready')
      return { ...summary({ ...recorded, mux_asset_id: asset.id }), alreadyIngested: false }
    case 'error':
      throw failedIngest(recorded.error_message)
    case 'deleted':
      throw new AbortTaskError(`Video ${videoId} was deleted while it was ingested.`)
  }
  if (recorded && recorded.waited_seconds > patienceHours * 3_600) {
    const reason = `Mux has not finished within ${patienceHours} hours.`
    await failAsset(sql, asset.id, reason)
    throw failedIngest(reason)
  }
  return waitForProvider(recorded?.waited_seconds ?? 0)

  /** Begins an ingest of this video, or joins the one that is under way. */
  async function takePart(): Promise<IngestRow> {
    const found = await sql<IngestRow>`
        SELECT ${columns}, ${runId} = ANY(ingest_runs) AS takes_part
        FROM videos WHERE id = ${videoId} FOR NO KEY UPDATE`
    const row = found.rows[0]
    if (!row) throw new AbortTaskError(`There is no video ${videoId}.`)
    if (row.status === 'deleted') throw new AbortTaskError(`Video ${videoId} is deleted.`)
    if (row.status === 'error' && row.takes_part) throw failedIngest(row.error_message)

    const isUnasked = row.ingest_started_at === null && row.mux_asset_id === null
    if (row.status === 'uploading' || row.status === 'error' || (row.status === 'processing' && isUnasked)) {
      // Refuses an id that Mux could not carry, before anything has begun.
      passthroughOf({ tenantId, videoId, ingest: row.ingest_number + 1 })
      const begun = await sql<IngestRow>`
          UPDATE videos SET status = 'processing', source_url = ${sourceUrl}, ingest_number = ingest_number + 1,
                            ingest_started_at = now(), ingest_runs = ARRAY[${runId}::text], asset_requested_at = NULL,
                            mux_asset_id = NULL, mux_playback_id = NULL, duration_seconds = NULL, error_message = NULL
          WHERE id = ${videoId} RETURNING ${columns}`
      return begun.rows[0]!
    }

    if (row.source_url !== null && !isSameSource(row.source_url, sourceUrl)) {
      throw new AbortTaskError(
        `Video ${videoId} is ${row.status} from another source. To replace it, set its status to uploading and replay this run.`,
      )
    }
    if (row.status === 'ready' || row.takes_part) return row
    const joined = await sql<IngestRow>`
        UPDATE videos SET ingest_runs = ingest_runs || ${runId}::text,
                          ingest_started_at = coalesce(ingest_started_at, now())
        WHERE id = ${videoId} RETURNING ${columns}`
    return joined.rows[0]!
  }

  async function look(assetId: string): Promise<Asset> {
    try {
      return await mux.video.assets.retrieve(assetId)
    } catch (error) {
      if (readServiceError(error)?.kind === 'permanent') {
        const reason = `Mux does not know asset ${assetId}: it was deleted, or the access token is of another environment.`
        await failAsset(sql, assetId, reason)
      }
      throw error
    }
  }

  async function findOrMakeAsset(): Promise<Asset> {
    if (video.asset_requested_at !== null) {
      const made = await findAsset(mux, passthrough, video.ingest_started_at!)
      if (made) return await keep(made)
    }
    const requests = await sql<{ requested_at: string }>`
        UPDATE videos SET asset_requested_at = now()
        WHERE id = ${videoId} AND ingest_number = ${owner.ingest} AND status = 'processing' AND mux_asset_id IS NULL
          AND (asset_requested_at IS NULL OR asset_requested_at <= now() - make_interval(secs => ${requestSeconds}))
        RETURNING asset_requested_at::text AS requested_at`
    const request = requests.rows[0]
    // Another run is at it, or a request of before may still be.
    if (!request) return snooze('10s')
    return await keep(await makeAsset(request.requested_at))
  }

  async function makeAsset(requestedAt: string): Promise<Asset> {
    try {
      return await mux.video.assets.create(
        { inputs: [{ url: sourceUrl }], playback_policies: ['public'], passthrough },
        { headers: { 'Idempotency-Key': `videos/ingest:${tenantId}:${videoId}:${owner.ingest}` } },
      )
    } catch (error) {
      const fate = fateOf(error)
      if (fate === 'unknown') throw error
      const failure = readServiceError(error)!
      // Answered with an error: the next attempt need not wait, but when Mux broke down on it, it looks first.
      await sql`
          UPDATE videos SET
            asset_requested_at = CASE WHEN ${fate === 'answered'} THEN now() - make_interval(secs => ${requestSeconds}) END,
            status = CASE WHEN ${failure.kind === 'permanent'} THEN 'error' ELSE status END,
            error_message = CASE WHEN ${failure.kind === 'permanent'} THEN ${reasonOf(failure.message)} END
          WHERE id = ${videoId} AND ingest_number = ${owner.ingest} AND status = 'processing'
            AND asset_requested_at = ${requestedAt}::timestamptz`
      throw error
    }
  }

  async function keep(asset: Asset): Promise<Asset> {
    if (await adoptAsset(sql, asset, owner)) return asset
    logger.warn({ videoId, assetId: asset.id }, 'the video has another asset; this one is deleted')
    await mux.video.assets.delete(asset.id)
    return snooze(0)
  }
}

/** Without the transcript: its words are megabytes. */
const ingestColumns = [
  'id',
  'status',
  'source_url',
  'mux_asset_id',
  'mux_playback_id',
  'duration_seconds',
  'error_message',
  'ingest_number',
  'ingest_started_at',
  'asset_requested_at',
]

interface IngestRow {
  id: string
  status: AssetVideo['status']
  source_url: string | null
  mux_asset_id: string | null
  mux_playback_id: string | null
  duration_seconds: number | null
  error_message: string | null
  ingest_number: number
  ingest_started_at: Date | null
  asset_requested_at: Date | null
  takes_part: boolean
}

function summary(video: Pick<IngestRow, 'id' | 'mux_asset_id' | 'mux_playback_id' | 'duration_seconds'>) {
  const { id, mux_asset_id, mux_playback_id, duration_seconds } = video
  return {
    videoId: id,
    status: 'ready',
    assetId: mux_asset_id,
    playbackId: mux_playback_id,
    durationSeconds: duration_seconds,
  }
}

function failedIngest(reason: string | null): AbortTaskError {
  return new AbortTaskError(
    `Mux could not make the video: ${reason ?? 'no reason is known.'} Once its source is right, replay this run.`,
  )
}
