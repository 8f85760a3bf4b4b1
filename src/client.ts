/**
 * What an app imports that only triggers runs and looks at them, from `@cgk-platform/jobs/client`: no worker. Nothing
 * of a task's code or of an engine is loaded by the import.
 */

export { close, configure, runs, tasks } from './default-platform.ts'
export type { RunFilter, RunPage } from './engines/engine.ts'
export * from './errors.ts'
export type { PlatformOptions } from './platform.ts'
export type { TriggerOptions } from './task/options.ts'
export type { PayloadOf, Register, TaskId } from './task/registry.ts'
export type { Attempt, Run, RunHandle, RunResult, RunState } from './task/run.ts'
export type { BatchItem } from './task/trigger.ts'
