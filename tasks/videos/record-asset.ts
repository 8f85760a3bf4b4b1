/**
 * What Mux tells about an asset: ready, errored, deleted. The webhook is a hint; the truth is asked for. An asset that no
 * video of this tenant has, of another environment with the same Mux account, say, is no error.
 */
import { defineTask, readServiceError, tenantPayload } from '@cgk-platform/jobs'
import { z } from 'zod'
import { readPassthrough } from './asset-passthrough.ts'
import { type Asset, adoptAsset, recordAsset } from './asset-rows.ts'

const events = ['video.asset.ready', 'video.asset.errored', 'video.asset.deleted'] as const

const eventBody = z.object({ object: z.object({ type: z.literal('asset'), id: z.string().min(1) }) })

export const recordVideoAsset = defineTask({
  id: 'videos/record-asset',
  payload: tenantPayload({ assetId: z.string().min(1), event: z.enum(events) }),
  services: ['mux'],
  // What triggers it comes once: it is tried for most of a day.
  retry: { maxAttempts: 12, minDelay: '10s', maxDelay: '2h', factor: 3 },
  webhooks: [
    {
      service: 'mux',
      events,
      payload({ type, body }) {
        const read = eventBody.safeParse(body)
        const event = events.find((name) => name === type)
        return read.success && event ? { assetId: read.data.object.id, event } : null
      },
    },
  ],

  async run({ tenantId, assetId, event }, { sql, clients, logger }) {
    const unknown = { recorded: false, reason: 'no video of this tenant has this asset' }
    const asset = await look()
    if (event === 'video.asset.deleted') {
      // Retried: the webhook may be ahead of what Mux answers elsewhere.
      if (asset) throw new Error(`Mux says that asset ${assetId} was deleted, but still has it.`)
      const deleted = await sql<{ id: string }>`
        UPDATE videos SET status = 'deleted' WHERE mux_asset_id = ${assetId} RETURNING id`
      const video = deleted.rows[0]
      return video ? { recorded: true, videoId: video.id, status: 'deleted' } : unknown
    }
    if (!asset) return { recorded: false, reason: 'Mux does not know this asset' }

    const video = (await recordAsset(sql, asset)) ?? (await adoptAndRecord(asset))
    if (!video) return unknown
    logger.info({ videoId: video.id, assetId, status: video.status }, 'asset recorded')
    return { recorded: true, videoId: video.id, status: video.status }

    /** A worker may have died between asking for this asset and keeping its id. */
    async function adoptAndRecord(asset: Asset) {
      const owner = readPassthrough(asset.passthrough)
      if (owner?.tenantId !== tenantId || !(await adoptAsset(sql, asset, owner))) return null
      return await recordAsset(sql, asset)
    }

    async function look(): Promise<Asset | null> {
      try {
        return await clients.mux.video.assets.retrieve(assetId)
      } catch (error) {
        if (readServiceError(error)?.kind === 'permanent') return null
        throw error
      }
    }
  },
})
