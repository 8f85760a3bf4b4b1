/** What an asset carries, in Mux's list and in its webhooks, to be found by: whose it is, and of which ingest. */
import { AbortTaskError } from '@cgk-platform/jobs'
import { z } from 'zod'

const schema = z.object({
  tenantId: z.string(),
  videoId: z.string(),
  /** videos.ingest_number */
  ingest: z.int(),
})

export type AssetOwner = z.output<typeof schema>

/** Mux's limit. */
const longest = 255

export function passthroughOf({ tenantId, videoId, ingest }: AssetOwner): string {
  const text = JSON.stringify({ tenantId, videoId, ingest })
  if (text.length <= longest) return text
  throw new AbortTaskError(
    'The id of this video is too long for Mux, which keeps 255 characters of an asset.',
  )
}

/** Null: it is not of ours. */
export function readPassthrough(text: string | undefined): AssetOwner | null {
  try {
    return schema.parse(JSON.parse(text ?? ''))
  } catch {
    return null
  }
}
