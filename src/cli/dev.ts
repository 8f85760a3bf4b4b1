/**
 * `cgk dev`, which is `npm start`: everything on this machine. Database, migrations, two tenants with something in them,
 * a worker, one visible pass; then it works until it is stopped, and leaves nothing running behind.
 */

import { join } from 'node:path'
import { Command } from 'commander'
import type { Platform, Started } from '../platform.ts'
import { shownTask, showOnePass } from './dev-pass.ts'
import { createMissingTenants, devTenants } from './dev-seed.ts'
import { Interrupted, untilAborted } from './interrupt.ts'
import { plural } from './print.ts'
import { type Jobs, stayOnPlatform } from './session.ts'
import { outliveStrayErrors } from './stray-errors.ts'

export const dev = new Command('dev')
  .description('start everything on this machine: database, demo tenants, a worker, and one visible pass')
  .action(async () => {
    await stayOnPlatform(async (jobs, platform, stop) => {
      outliveStrayErrors(platform.logger)
      console.log(describeStart(platform))
      console.log(describeDatabase(platform, await platform.ready()))
      const slugs = await prepareTenants(jobs)
      const tasks = await jobs.tasks.list()
      const worker = await jobs.startWorker()
      console.log(`Worker:     ${worker.name} runs ${plural(tasks.length, 'task')}`)
      try {
        // An app has tasks and tables of its own, and then there is nothing to show but them.
        if (tasks.some(({ id }) => id === shownTask)) await showOnePass(jobs, slugs, stop)
        console.log('\nWorking until you stop it with Ctrl-C.')
        await untilAborted(stop)
      } catch (error) {
        if (!(error instanceof Interrupted)) throw error
      }
      console.log('Stopping: what runs is finished first. Ctrl-C once more to leave at once.')
      await worker.stop({ timeoutMs: platform.config.stopTimeoutMs })
    })
    console.log('Stopped.')
  })

function describeStart({ config }: Platform): string {
  return config.databaseUrl
    ? 'Connecting to the database of DATABASE_URL'
    : `Starting Postgres in ${config.dataDir}`
}

function describeDatabase({ config }: Platform, { embedded }: Started): string {
  const address = withoutSecrets(embedded?.url ?? config.databaseUrl!)
  if (!embedded) return `Database:   ${address}`
  const password = `password: "jobs" in ${join(config.dataDir, 'passwords.json')}`
  const joined = embedded.joined
    ? '\n            Joined: it was running already, for another cgk or since one was killed.'
    : ''
  return `Database:   ${address}  (${password})${joined}`
}

/** A password may also be a query parameter. */
function withoutSecrets(url: string): string {
  const { protocol, username, host, pathname } = new URL(url)
  return `${protocol}//${username}${username && '@'}${host}${pathname}`
}

/** Answers the tenants of the show that may work. */
async function prepareTenants(jobs: Jobs): Promise<string[]> {
  const created = await createMissingTenants(jobs)
  const statuses = new Map((await jobs.listTenants()).map(({ slug, status }) => [slug, status]))
  const slugs = devTenants.map(({ slug }) => slug)
  const isSuspended = (slug: string) => statuses.get(slug) === 'suspended'
  const note = (slug: string) =>
    isSuspended(slug) ? ' (suspended)' : created.includes(slug) ? ' (created)' : ''
  console.log(`Tenants:    ${slugs.map((slug) => slug + note(slug)).join(', ')}`)
  return slugs.filter((slug) => !isSuspended(slug))
}
