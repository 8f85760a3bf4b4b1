/**
 * What makes two failed attempts alike: the task, the error's name and code, its message without what differs from one to
 * the next, and the place in the app's own code it came out of. So one cause is one group, whichever order or tenant it
 * hits, and a deploy that only moves lines opens no new one.
 */
import { createHash } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import type { RunError } from '../task/json.ts'

export interface Failure {
  /** 20 hexadecimal digits. */
  fingerprint: string
  /** With <number>, <id> and the like in the place of values; at most 500 characters. */
  message: string
  /** `function (folder/folder/file)`; null where no frame is the app's own, as with a timeout. */
  frame: string | null
}

/** Whatever a group shows is in its fingerprint: no tenant is shown words of another that is in it. */
export function describeFailure(taskId: string, error: RunError): Failure {
  const message = normalise(error.message)
  const frame = ownFrame(error.stack)
  const parts = JSON.stringify([taskId, error.name, error.code, message, frame])
  return { fingerprint: createHash('sha256').update(parts).digest('hex').slice(0, 20), message, frame }
}

const longestMessage = 500

/** From the most certain to the least: what one rule has replaced, no later one sees. */
const values: [pattern: RegExp, name: string][] = [
  // Without the full stop or colon of the sentence it stands in.
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'`<>)\]]*[^\s"'`<>)\].,:;!?]/gi, '<url>'],
  [/[\w.+-]+@[\w-]+(\.[\w-]+)+/g, '<email>'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<uuid>'],
  // An apostrophe within a word (can't) opens nothing.
  [/"[^"\n]*"|`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)|“[^”\n]*”|‘[^’\n]*’/g, '<value>'],
  [/\b\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?/g, '<time>'],
  [/(?<![\w<])[+-]?\d[\d,._]*(?!\w)/g, '<number>'],
  // order_4711, pi_3OxYz, 12ms, 0x7f: whatever a digit is part of.
  [/(?<![\w<])(?=[\w-]*\d)\w[\w-]*/g, '<id>'],
  // A hash or a token that happens to have no digit.
  [/(?<![\w<])[A-Za-z+/=_-]{32,}(?!\w)/g, '<id>'],
]

function normalise(message: string): string {
  // Long texts are alike or not at their beginning; what follows is often a dump.
  let text = message.slice(0, 4 * longestMessage)
  for (const [pattern, name] of values) text = text.replace(pattern, name)
  return text.replace(/\s+/g, ' ').trim().slice(0, longestMessage).toWellFormed()
}

/** The folder of the platform's own code: `src/` here, `dist/` as published. */
const platformFolder = fileURLToPath(new URL('..', import.meta.url))

const stackLine = /^\s*at (?:async )?(?:(.*?) \()?((?:file:\/\/|[\w-]+:|\/|[A-Za-z]:\\).*?)(?::\d+){1,2}\)?$/

function ownFrame(stack: string | null): string | null {
  for (const line of stack?.split('\n') ?? []) {
    const [, name, location] = stackLine.exec(line) ?? []
    if (location === undefined || isForeign(location)) continue
    return `${nameOf(name)} (${placeOf(location)})`
  }
  return null
}

function isForeign(location: string): boolean {
  const path = location.replace(/^file:\/\//, '')
  return /^node:|[\\/]node_modules[\\/]/.test(location) || path.startsWith(platformFolder)
}

/** Where the app is installed differs from machine to machine; the last folders do not. */
function placeOf(location: string): string {
  return location.split(/[\\/]/).slice(-3).join('/').replace(/\?.*$/, '')
}

function nameOf(name: string | undefined): string {
  return name?.replace(/^(new |Object\.)/, '').replace(/ \[as .*\]$/, '') || 'anonymous'
}
