/**
 * `cgk serve`: answers HTTP until it is asked to stop, then what it has been asked before. It runs no tasks; what many runs
 * were asked for over HTTP it does itself, for there may be no worker of ours (Trigger.dev).
 */
import { Command } from 'commander'
import { loadService } from '../services/registry.ts'
import type { AnyTask } from '../task/define.ts'
import { untilAborted } from './interrupt.ts'
import { refuseInline, stayOnPlatform } from './session.ts'
import { outliveStrayErrors } from './stray-errors.ts'

export const serve = new Command('serve')
  .description(
    'answer HTTP until stopped: the API, webhooks, health, figures; Ctrl-C answers what is open first',
  )
  .action(async () => {
    await stayOnPlatform(async ({ tasks }, platform, stop) => {
      refuseInline(platform)
      const { config, logger } = platform
      outliveStrayErrors(logger)
      const [{ createHttpApp }, { startHttpServer }, { countForPrometheus }] = await Promise.all([
        import('../http/index.ts'),
        import('../http/server.ts'),
        import('../http/metrics.ts'),
      ])
      await platform.ready()
      await Promise.all([loadServicesOf(await tasks.list()), countForPrometheus(), platform.watchQueue()])
      const driver = await platform.driveBulkActions()
      const { fetch } = createHttpApp({ platform })
      const server = await startHttpServer({ fetch, port: config.httpPort })
      console.log(`Listening:  ${server.url}`)
      const publicUrl = config.publicUrl ?? server.url
      console.log(`API:        ${publicUrl}/api/v1  (described by ${publicUrl}/api/v1/openapi.json)`)
      console.log(`Probes:     ${server.url}/health, ${server.url}/ready`)
      console.log(`Metrics:    ${server.url}/metrics`)
      console.log(`Webhooks:   ${publicUrl}/webhooks/<tenant>/<service>`)
      await untilAborted(stop)
      logger.info('Server stopping')
      await Promise.all([server.stop({ timeoutMs: config.stopTimeoutMs }), driver.stop()])
      logger.info('Server stopped')
    })
  })

/** Before the first event comes: loading an SDK takes longer than an answer should. */
async function loadServicesOf(tasks: readonly AnyTask[]): Promise<void> {
  const services = tasks.flatMap(({ webhooks }) => webhooks.map(({ service }) => service))
  await Promise.all([...new Set(services)].map(loadService))
}
