/** Who runs what an engine has queued, and moves its time. */
import { startWorker } from '../../../src/default-platform.ts'
import type { Worker } from '../../../src/engines/engine.ts'
import type { WorkerOptions } from '../../../src/engines/worker-options.ts'
import type { PlatformOptions } from '../../../src/platform.ts'
import { createTestPlatform, type TestPlatform } from '../../../src/testing/index.ts'

export interface Host extends Pick<TestPlatform, 'platform' | 'tenant' | 'drain' | 'advance' | 'close'> {
  work(options: WorkerOptions): Promise<Worker>
}

/** Workers of this process. */
export async function hostHere(engine: 'inline' | 'pg-boss', options: PlatformOptions): Promise<Host> {
  return Object.assign(await createTestPlatform({ ...options, engine }), { work: startWorker })
}
