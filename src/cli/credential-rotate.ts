/**
 * `cgk credential:rotate`: encrypts every credential with the first key of the list. Everything goes on meanwhile, and a
 * rotation that was cut off is resumed by the next.
 */
import { Command } from 'commander'
import type { KeyRings } from '../credentials/key-rings.ts'
import { type Rotation, rotateCredentials } from '../credentials/rotate.ts'
import type { Database } from '../db/database.ts'
import { UnknownTenantError } from '../errors.ts'
import { plural } from './print.ts'
import { startProgress } from './progress.ts'
import { record } from './record.ts'
import { type Jobs, withPlatform } from './session.ts'

const steps = `
To replace a key without a pause:
  1. put the new one in front, on every machine: INTEGRATION_ENCRYPTION_KEY=new,old
  2. cgk credential:rotate
  3. take the old one away`

export const credentialRotate = new Command('credential:rotate')
  .description('encrypt all credentials with the first key; exit 1 when some could not be read')
  .addHelpText('after', steps)
  .action(async () => {
    await withPlatform(async (jobs, platform) => {
      const { database } = await platform.ready()
      const tenants = await jobs.listTenants()
      const progress = startProgress(tenants.length, 'Rotating')
      let [rotated, failed] = [0, 0]
      try {
        for (const { slug } of tenants) {
          const rotation = await rotateTenant(database, platform.keys, slug)
          // One by one: a rotation that is cut off has told of those that it did.
          if (rotation.rotated > 0) await recordRotation(jobs, rotation)
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

/** What is wrong with one tenant must not keep the others on the old key. */
async function rotateTenant(database: Database, keys: KeyRings, tenantId: string): Promise<Rotation> {
  try {
    return await rotateCredentials({ database, keys }, tenantId)
  } catch (error) {
    if (!(error instanceof UnknownTenantError)) throw error
    return { tenantId, rotated: 0, current: 0, failed: [{ service: '', key: '', error }] }
  }
}

async function recordRotation(jobs: Jobs, { tenantId, rotated, failed }: Rotation): Promise<void> {
  const details = { rotated, failed: failed.length }
  await record(jobs, { action: 'credential.rotate', tenantId, details })
}

function resultLine({ tenantId, rotated, current, failed }: Rotation): string {
  const problems = failed.map(({ error }) => `\n  ${error.message}`).join('')
  return `${tenantId}: ${rotated} rotated, ${current} current${failed.length > 0 ? `, ${failed.length} failed` : ''}${problems}`
}
