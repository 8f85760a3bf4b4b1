/**
 * What Trigger.dev's CLI reads. Which project is deployed to is the deploy's matter: TRIGGER_PROJECT_REF. The platform
 * itself is configured in the environment variables of the project (DATABASE_URL and the others of the README).
 */
import { defineConfig } from '@trigger.dev/sdk'

export default defineConfig({
  project: process.env.TRIGGER_PROJECT_REF ?? 'proj_not_set',
  runtime: 'node-24',
  dirs: ['./tasks'],
  // One file, which has them all; the files of the tasks themselves define nothing for Trigger.dev.
  ignorePatterns: ['**/!(index.trigger).ts'],
  // For what is no task of the registry; each of those has its own.
  maxDuration: 3_600,
  retries: { enabledInDev: true },
})
