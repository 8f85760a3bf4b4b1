/**
 * What is kept of a Mux asset. Used by videos/ingest, which asks, and by videos/record-asset, which is told: whoever
 * comes first writes, and the other finds it written. A video goes from processing to ready or error, and from any of
 * them to deleted; a late success still counts after an error (videos/ingest gave up waiting), and nothing else goes back.
 */
import type { TaskContext } from '@cgk-platform/jobs'
import type { AssetOwner } from './asset-passthrough.ts'
import { reasonOf } from './patience.ts'

type Sql = TaskContext['sql']
export type Mux = TaskContext<'mux'>['clients']['mux']
export type Asset = Awaited<ReturnType<Mux['video']['assets']['retrieve']>>

export interface AssetVideo {
  id: string
  status: 'uploading' | 'processing' | 'ready' | 'error' | 'deleted'
  mux_playback_id: string | null
  duration_seconds: number | null
  error_message: string | null
  waited_seconds: number
}

/** Makes it the asset of its video. False: the video has another one, or is no longer in this ingest. */
export async function adoptAsset(sql: Sql, asset: Asset, { videoId, ingest }: AssetOwner): Promise<boolean> {
  const adopted = await sql`
    UPDATE videos SET mux_asset_id = ${asset.id}
    WHERE id = ${videoId} AND ingest_number = ${ingest}
      AND (mux_asset_id = ${asset.id} OR (mux_asset_id IS NULL AND status = 'processing'))`
  return adopted.rowCount === 1
}

/** Null: no video of this tenant has this asset. */
export async function recordAsset(sql: Sql, asset: Asset): Promise<AssetVideo | null> {
  if (asset.status === 'ready') {
    const playback = asset.playback_ids?.find(({ policy }) => policy === 'public') ?? asset.playback_ids?.[0]
    await sql`
      UPDATE videos SET status = 'ready', mux_playback_id = ${playback?.id ?? null},
                        duration_seconds = ${asset.duration ?? null}, error_message = NULL
      WHERE mux_asset_id = ${asset.id} AND status IN ('processing', 'error')`
  }
  if (asset.status === 'errored') {
    await failAsset(sql, asset.id, reasonOf(asset.errors?.messages?.join(' ')) ?? 'Mux does not say why.')
  }
  const found = await sql<AssetVideo>`
    SELECT id, status, mux_playback_id, duration_seconds, error_message,
           extract(epoch FROM now() - coalesce(ingest_started_at, created_at))::float8 AS waited_seconds
    FROM videos WHERE mux_asset_id = ${asset.id}`
  return found.rows[0] ?? null
}

export async function failAsset(sql: Sql, assetId: string, reason: string): Promise<void> {
  await sql`
    UPDATE videos SET status = 'error', error_message = ${reason}
    WHERE mux_asset_id = ${assetId} AND status = 'processing'`
}
