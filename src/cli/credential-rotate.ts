/**
 * `cgk credential:rotate`: encrypts every credential with the first key of the list. Everything goes on meanwhile, and a
 * rotation that was cut off is resumed by the next.
 */
import { Command } from 'commander'
import { type Rotation, rotateCredentials } from '../credentials/rotate.ts'
import { plural } from './print.ts'
import { startProgress } from './progress.ts'
import { withPlatform } from './session.ts'

const steps = `
To replace a key without a pause:
  1. put the new one in front, on every machine: INTEGRATION_ENCRYPTION_KEY=new,old
  2. cgk credential:rotate
  3. take the old one away`

export const credentialRotate = new Command('credential:rotate')
  .description('encrypt all credentials with the first key; exit 1 when some could not be read')
  .addHelpText('after', steps)
  .action(async () => {
    await withPlatform(async ({ listTenants }, platform) => {
      const { database } = await platform.ready()
      const tenants = await listTenants()
      const progress = startProgress(tenants.length, 'Rotating')
      let [rotated, failed] = [0, 0]
      try {
        for (const { slug } of tenants) {
          const rotation = await rotateCredentials({ database, keys: platform.keys }, slug)
          rotated += rotation.rotated
          failed += rotation.failed.length
          progress.step(resultLine(rotation))
        }
      } finally {
        progress.stop()
      }
      console.log(`${plural(rotated, 'credential')} rotated, ${failed} failed.`)
      if (failed > 0) process.exitCode = 1
    })
  })

function resultLine({ tenantId, rotated, current, failed }: Rotation): string {
  const problems = failed.map(({ error }) => `\n  ${error.message}`).join('')
  return `${tenantId}: ${rotated} rotated, ${current} current${failed.length > 0 ? `, ${failed.length} failed` : ''}${problems}`
}
