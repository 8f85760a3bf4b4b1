/** What every engine does. Each implementation runs all of it, in a test file of its own. */
import type { Engine } from '../../src/engines/engine.ts'
import { cancelling } from './conformance/cancelling.ts'
import { children } from './conformance/children.ts'
import { failing } from './conformance/failing.ts'
import { holds } from './conformance/holds.ts'
import { idempotency } from './conformance/idempotency.ts'
import { onEngine } from './conformance/kit.ts'
import { listing } from './conformance/listing.ts'
import { replaying } from './conformance/replaying.ts'
import { running } from './conformance/running.ts'
import { tenants } from './conformance/tenants.ts'
import { timing } from './conformance/timing.ts'
import { transactions } from './conformance/transactions.ts'
import { visibility } from './conformance/visibility.ts'
import { workers } from './conformance/workers.ts'

export function engineConformance(engine: Engine['name']): void {
  onEngine(engine)
  running()
  failing()
  cancelling()
  idempotency()
  timing()
  children()
  replaying()
  tenants()
  holds()
  transactions()
  listing()
  visibility()
  // With Trigger.dev no process of ours is a worker.
  if (engine !== 'trigger.dev') workers()
}
