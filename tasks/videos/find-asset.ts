/** Looks for an asset that Mux may have made without our hearing of it. */
import { AbortTaskError } from '@cgk-platform/jobs'
import type { Asset, Mux } from './asset-rows.ts'

const pageSize = 100
/** More assets than anybody makes while one ingest is under way. */
const mostPages = 50
/** Mux's clock and ours differ. */
const slackSeconds = 60

/**
 * Mux cannot be asked for an asset by its passthrough, so this reads its list back to the moment the ingest began. That
 * the list has the newest first is how Mux answers and what its examples show; it promises no order.
 *
 * @throws AbortTaskError when it does not get that far: then nobody may claim that there is none.
 */
export async function findAsset(mux: Mux, passthrough: string, startedAt: Date): Promise<Asset | null> {
  const since = startedAt.getTime() / 1_000 - slackSeconds
  let page = await mux.video.assets.list({ limit: pageSize })
  for (let pages = 1; ; pages += 1) {
    const found = page.data.find((asset) => asset.passthrough === passthrough)
    if (found) return found
    const isBefore = page.data.every(({ created_at }) => Number(created_at) < since)
    if (isBefore || !page.hasNextPage()) return null
    if (pages === mostPages) {
      throw new AbortTaskError(
        `Mux may have an asset of this video, but it is not among its newest ${mostPages * pageSize}. To make a new one, set the status of the video to uploading and replay this run.`,
      )
    }
    page = await page.getNextPage()
  }
}
