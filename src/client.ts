/**
 * What an app imports that has no database, from `@cgk-platform/jobs/client`: it triggers runs and reads them over HTTP.
 * Nothing of the platform is loaded, and nothing but `fetch` is needed, so it works in browsers and at the edge as well.
 */
export { createJobsClient, type JobsClient, type JobsClientOptions } from './client/create.ts'
export { type Issue, JobsHttpError, JobsUnreachableError, JobsWaitTimeoutError } from './client/errors.ts'
export type { ClientRuns, ClientWaitOptions } from './client/runs.ts'
export type { ClientTasks } from './client/tasks.ts'
export type {
  ClientAttempt,
  ClientBatchItem,
  ClientLogLine,
  ClientLogPage,
  ClientProgress,
  ClientRun,
  ClientRunDetails,
  ClientRunFilter,
  ClientRunPage,
} from './client/types.ts'
export type { TriggerOptions } from './task/options.ts'
