/** What waits because a provider refuses or limits somebody. */
import { type Hold, holdReasons } from '../holds/hold.ts'
import { listHolds } from '../holds/read.ts'
import type { Check } from './check.ts'
import { orOk, type Said, some, warning } from './finding.ts'

const advice: Record<Hold['reason'], string> = {
  not_configured: 'Set what is missing with cgk credential:set; runs go on at once.',
  refused: 'Replace the credential with cgk credential:set, or try it again with cgk credential:verify.',
  rate_limited: 'Wait: it ends by itself. cgk hold:list says when.',
}

export const holds: Check = {
  name: 'holds',
  async look({ database }) {
    const standing = (await listHolds(database)).filter(({ lifted }) => !lifted)
    return orOk(
      holdReasons.map((reason) =>
        said(
          reason,
          standing.filter((hold) => hold.reason === reason),
        ),
      ),
      'Nothing is held.',
    )
  },
}

function said(reason: Hold['reason'], held: readonly Hold[]): Said | null {
  if (held.length === 0) return null
  const who = some(held.map(({ tenantId, service }) => `${service} of ${tenantId}`))
  return warning(`Runs wait (${reason.replace('_', ' ')}) for ${who}.`, advice[reason])
}
