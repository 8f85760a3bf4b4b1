/** `cgk serve`: answers HTTP until it is asked to stop, then what it has been asked before. */
import { Command } from 'commander'
import { loadService } from '../services/registry.ts'
import type { AnyTask } from '../task/define.ts'
import { untilAborted } from './interrupt.ts'
import { refuseInline, stayOnPlatform } from './session.ts'
import { outliveStrayErrors } from './stray-errors.ts'

export const serve = new Command('serve')
  .description('answer HTTP until stopped: the webhooks of providers; Ctrl-C answers what is open first')
  .action(async () => {
    await stayOnPlatform(async ({ tasks }, platform, stop) => {
      refuseInline(platform)
      const { config, logger } = platform
      outliveStrayErrors(logger)
      const [{ createHttpApp }, { startHttpServer }] = await Promise.all([
        import('../http/index.ts'),
        import('../http/server.ts'),
      ])
      await platform.ready()
      await loadServicesOf(await tasks.list())
      const { fetch } = createHttpApp({ platform })
      const server = await startHttpServer({ fetch: (request) => fetch(request), port: config.httpPort })
      console.log(`Listening:  ${server.url}`)
      console.log(`Webhooks:   ${config.publicUrl ?? server.url}/webhooks/<tenant>/<service>`)
      await untilAborted(stop)
      logger.info('Server stopping')
      await server.stop({ timeoutMs: config.stopTimeoutMs })
      logger.info('Server stopped')
    })
  })

/** Before the first event comes: loading an SDK takes longer than an answer should. */
async function loadServicesOf(tasks: readonly AnyTask[]): Promise<void> {
  const services = tasks.flatMap(({ webhooks }) => webhooks.map(({ service }) => service))
  await Promise.all([...new Set(services)].map(loadService))
}
