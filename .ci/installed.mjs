/**
 * Exits with 0 when node_modules is what package-lock.json says, so that `npm ci` would change nothing. Plain
 * JavaScript: it runs before the project's own Node is there.
 */
import { readFileSync } from 'node:fs'

const packages = (file) => JSON.parse(readFileSync(file, 'utf8')).packages

try {
  const { '': _root, ...wanted } = packages('package-lock.json')
  const installed = packages('node_modules/.package-lock.json')
  const differs = Object.entries(wanted).some(([path, { version, optional }]) =>
    // What is optional may be for another platform.
    installed[path] ? installed[path].version !== version : !optional,
  )
  const tooMuch = Object.keys(installed).some((path) => !(path in wanted))
  process.exitCode = differs || tooMuch ? 1 : 0
} catch {
  process.exitCode = 1
}
