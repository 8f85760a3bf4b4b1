/** `cgk credential:key`: a fresh key for credentials. It is printed once and kept nowhere. */
import { randomBytes } from 'node:crypto'
import { Command } from 'commander'

export const credentialKey = new Command('credential:key')
  .description('print a fresh key for INTEGRATION_ENCRYPTION_KEY or SHOPIFY_TOKEN_ENCRYPTION_KEY')
  .action(() => {
    console.log(randomBytes(32).toString('base64'))
    if (process.stdout.isTTY) {
      console.error(
        'Keep it where secrets are kept: without it, what it has encrypted cannot be read any more.',
      )
    }
  })
