/** Where a request comes from. What a header says of it counts only where a proxy of one's own has written it. */
import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context } from 'hono'

/** Of an app that knows it better than the socket does. Null: not known. */
export type ClientAddress = (request: Request) => string | null

/**
 * An IP address, as text; null where there is no socket to ask, as within the server of an app. `trustedProxies`: how
 * many there are in front of this process.
 */
export function clientAddress(context: Context, trustedProxies: number): string | null {
  const socket = socketAddress(context)
  if (socket === null) return null
  const forwarded = context.req.header('x-forwarded-for')?.split(',') ?? []
  // Each proxy adds the one it was asked by, so from the end on they are true, and no further than there are proxies.
  const hops = [...forwarded.map((hop) => hop.trim()), socket]
  return hops.at(-1 - trustedProxies) ?? hops[0]!
}

function socketAddress(context: Context): string | null {
  try {
    return getConnInfo(context).remote.address ?? null
  } catch {
    return null
  }
}
