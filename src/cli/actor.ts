/** Who works at this shell, for the audit log. */
import { hostname, userInfo } from 'node:os'
import type { Actor } from '../audit/audit.ts'

export function cliActor(): Actor {
  return { kind: 'cli', id: null, name: `${userName()}@${hostname()}` }
}

/** In a container the process may have a number that no user goes by. */
function userName(): string {
  try {
    return userInfo().username
  } catch {
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
