/** Prints `N passed, N failed, N skipped` from the report of vitest's JSON reporter; fails when no test ran. */
import { readFileSync } from 'node:fs'

const none = { numPassedTests: 0, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 }

/** Empty when vitest ended before it could write it. */
function readReport(file) {
  const text = readFileSync(file, 'utf8')
  return text === '' ? none : JSON.parse(text)
}

const counts = readReport(process.argv[2])
const skipped = counts.numPendingTests + counts.numTodoTests
console.log(`${counts.numPassedTests} passed, ${counts.numFailedTests} failed, ${skipped} skipped`)
process.exitCode = counts.numPassedTests + counts.numFailedTests > 0 ? 0 : 1
