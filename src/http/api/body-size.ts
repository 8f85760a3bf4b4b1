/** How large a body may be. It is held in memory, so the less is known of the caller, the smaller. */
import { bodyLimit } from 'hono/body-limit'
import { problem } from '../problem.ts'

export function bodyUpTo(maxSize: number) {
  return bodyLimit({
    maxSize,
    onError: () => {
      const detail = `The body is larger than ${maxSize} bytes.`
      throw problem({ status: 413, code: 'BODY_TOO_LARGE', detail })
    },
  })
}

/** Of whoever is nobody yet. */
export const smallBody = bodyUpTo(16 * 1024)
