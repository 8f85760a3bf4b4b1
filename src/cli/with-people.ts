/** What commands about people and keys work on. Loaded here and not above, as in session.ts. */
import type { AuthDeps } from '../auth/deps.ts'
import type { Platform, Started } from '../platform.ts'
import { withPlatform } from './session.ts'

export type People = typeof import('../auth/index.ts')

export async function loadPeople(): Promise<People> {
  return await import('../auth/index.ts')
}

export async function withPeople(
  work: (people: People, auth: AuthDeps, started: Started & Pick<Platform, 'audit'>) => Promise<void>,
): Promise<void> {
  await withPlatform(async (_, platform) => {
    const [people, started] = await Promise.all([loadPeople(), platform.ready()])
    await work(people, started.auth, { ...started, audit: platform.audit })
  })
}
