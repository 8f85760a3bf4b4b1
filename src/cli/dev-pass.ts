/** One visible pass: a new order in each tenant, processed by the worker, and where to look at what happened. */
import { extname } from 'node:path'
import { WaitTimeoutError } from '../errors.ts'
import type { Run } from '../task/run.ts'
import { schemaName } from '../tenants/slug.ts'
import { placeOrder, seedOrders } from './dev-seed.ts'
import { took } from './run-text.ts'
import type { Jobs } from './session.ts'
import { type Column, formatTable } from './table.ts'

export const shownTask = 'orders/process-order'
const patience = '1m'

/** How to type the next command: the repo runs its sources, and through npm, which finds the Node of node_modules. */
const cgk = extname(import.meta.url) === '.ts' ? 'npm run -s cgk --' : 'npx cgk'

interface Shown {
  run: Run
  orderId: string
}

export async function showOnePass(jobs: Jobs, slugs: readonly string[], stop: AbortSignal): Promise<void> {
  const shown = await Promise.all(slugs.map((slug) => processOneOrder(jobs, slug, stop)))
  const [first] = shown
  if (!first) return
  console.log(`\n${formatTable(shown, columns)}\n`)
  const rows = shown.map(
    ({ run, orderId }) => `SELECT * FROM ${schemaName(run.tenantId)}.orders WHERE id = '${orderId}'`,
  )
  console.log(`The rows:   ${rows.join('\n            ')}`)
  console.log(`One run:    ${cgk} run:show ${first.run.id}`)
  console.log(`All runs:   ${cgk} run:list`)
  const payload = JSON.stringify({ tenantId: first.run.tenantId, orderId: 'order_1001' })
  console.log(`Once more:  ${cgk} trigger ${shownTask} --payload '${payload}' --wait`)
}

async function processOneOrder(jobs: Jobs, slug: string, stop: AbortSignal): Promise<Shown> {
  await seedOrders(jobs, slug)
  const orderId = await placeOrder(jobs, slug)
  const { id } = await jobs.tasks.trigger(shownTask, { tenantId: slug, orderId } as never)
  return { orderId, run: await ended(jobs, id, stop) }
}

/** The run as it is when the patience is over, if it has not ended by then. */
async function ended({ runs }: Jobs, runId: string, signal: AbortSignal): Promise<Run> {
  try {
    return await runs.wait(runId, { timeout: patience, signal })
  } catch (error) {
    if (!(error instanceof WaitTimeoutError)) throw error
    return await runs.get(runId)
  }
}

const columns: Column<Shown>[] = [
  { title: 'task', value: ({ run }) => run.taskId, mayCut: true },
  { title: 'tenant', value: ({ run }) => run.tenantId },
  { title: 'run', value: ({ run }) => run.id },
  { title: 'state', value: ({ run }) => run.state },
  { title: 'took', value: ({ run }) => took(run), align: 'right' },
]
