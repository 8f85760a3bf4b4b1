/**
 * Where a video may come from: https, a host on the public internet, no password in it.
 *
 * What a schema cannot see: where the name leads. A public name may have a private address, or be redirected to one. It
 * is the provider's servers that look it up and fetch it, in their network and not in ours; nothing here ever does.
 */
import { z } from 'zod'
import { isPublicHost } from './public-host.ts'

/** What comes out is the normalised text that was checked, so the provider cannot read it as another host. */
export const sourceUrl = z
  .string()
  .max(2048)
  .transform((text, context) => {
    const problem = problemOf(text)
    if (problem === null) return new URL(text).href
    context.addIssue({ code: 'custom', message: problem })
    return z.NEVER
  })

function problemOf(text: string): string | null {
  if (!URL.canParse(text)) return 'not a URL'
  const { protocol, username, password, hostname } = new URL(text)
  if (protocol !== 'https:') return 'must begin with https://'
  if (username || password) return 'must not hold a user name or a password'
  return isPublicHost(hostname) ? null : 'must name a host on the public internet'
}

/** The same file, though its link may have been signed anew: what signs a link is in its query. */
export function isSameSource(one: string, other: string): boolean {
  if (!URL.canParse(one) || !URL.canParse(other)) return one === other
  const [a, b] = [new URL(one), new URL(other)]
  return a.origin === b.origin && a.pathname === b.pathname
}
