#!/usr/bin/env node
/**
 * The `cgk` command: checks the version of Node, then loads the program. Nothing of ours is imported before the check,
 * for an older Node would refuse it with words that help nobody; `.ts` itself needs 22.18, compiled files 22.12.
 */
import module from 'node:module'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 12)) {
  console.error(
    `cgk needs Node 22.12 or later, and this is ${process.version}. Run it through npm, which uses the Node in node_modules: npx cgk ... (or: npm run cgk -- ...). If npm has none there, install a newer Node.`,
  )
  process.exit(1)
}

// Halves the start of every command after the first.
module.enableCompileCache?.()
const { main } = await import('./program.ts')
await main(process.argv)
