/**
 * An app that uses the published package: its files, by their path. As text, because its `Register` would otherwise
 * declare its registry for this repo as well.
 */
export function appFiles(tarball: string, zodVersion: string): Record<string, string> {
  return {
    'package.json': JSON.stringify({
      name: 'an-app',
      private: true,
      type: 'module',
      dependencies: { '@cgk-platform/jobs': `file:${tarball}`, zod: zodVersion },
    }),

    // As strict as can be; `skipLibCheck: false` reads the package's own declarations too.
    'tsconfig.json': JSON.stringify({
      compilerOptions: {
        target: 'es2022',
        module: 'nodenext',
        types: [],
        strict: true,
        exactOptionalPropertyTypes: true,
        skipLibCheck: false,
        allowImportingTsExtensions: true,
        noEmit: true,
      },
    }),

    'tasks/index.ts': `
      import { sendGreeting } from './greetings/send.ts'

      const registry = [sendGreeting] as const
      export default registry

      declare module '@cgk-platform/jobs' {
        interface Register { tasks: typeof registry }
      }
    `,

    'tasks/greetings/send.ts': `
      import { defineTask, tenantPayload } from '@cgk-platform/jobs'
      import { z } from 'zod'

      export const sendGreeting = defineTask({
        id: 'greetings/send',
        payload: tenantPayload({ name: z.string().min(1), times: z.number().int().default(1) }),
        async run({ name, times, tenantId }, { sql, attempt }) {
          const { rows } = await sql<{ orders: number }>\`SELECT count(*)::int AS orders FROM orders\`
          const orders: number = rows[0]!.orders
          return { greeting: \`Hello \${name} of \${tenantId}\`, times, orders, attempt }
        },
      })
    `,

    'main.ts': `
      import { close, createTenant, runs, startWorker, tasks } from '@cgk-platform/jobs'

      await createTenant('acme', { name: 'Acme' })
      const worker = await startWorker()
      const { id } = await tasks.trigger('greetings/send', { tenantId: 'acme', name: 'Ada' })
      const { state, output } = await runs.wait(id)
      await worker.stop()
      await close()
      console.log(JSON.stringify({ state, output }))
    `,

    'entries.ts': `
      import * as client from '@cgk-platform/jobs/client'
      import * as http from '@cgk-platform/jobs/http'
      import * as testing from '@cgk-platform/jobs/testing'

      const entries = [client.createJobsClient, testing.createTestPlatform, http.createHttpApp]
      console.log(JSON.stringify(entries.map((entry) => typeof entry)))
    `,

    // A comment "wrong" marks a line that must not compile, followed by a part of what is said about it.
    'mistakes.ts': `
      import { defineTask, tasks, tenantPayload } from '@cgk-platform/jobs'
      import { createJobsClient } from '@cgk-platform/jobs/client'
      import { z } from 'zod'
      import type registry from './tasks/index.ts'
      import { sendGreeting } from './tasks/greetings/send.ts'

      await tasks.trigger('greetings/send', { tenantId: 'acme', name: 'Ada', times: 2 })
      await tasks.trigger('typo', { tenantId: 'acme', name: 'Ada' }) // wrong: "typo"
      const client = createJobsClient<typeof registry>({ url: 'https://jobs.example.com/api/v1', key: 'cgk_live_1' })
      await client.tasks.trigger('greetings/send', { tenantId: 'acme', name: 'Ada', times: 2 })
      await client.tasks.trigger('typo', { tenantId: 'acme', name: 'Ada' }) // wrong: "typo"
      await client.tasks.trigger('greetings/send', { tenantId: 'acme', name: 5 }) // wrong: Type 'number'
      await tasks.trigger('greetings/send', { tenantId: 'acme', name: 5 }) // wrong: Type 'number'
      await tasks.trigger('greetings/send', { tenantId: 'acme' }) // wrong: Property 'name' is missing
      await tasks.trigger('greetings/send', { name: 'Ada' }) // wrong: Property 'tenantId' is missing
      await tasks.trigger('greetings/send', { tenantId: 'acme', name: 'Ada', nmae: 'Ada' }) // wrong: 'nmae' does not exist
      await sendGreeting.trigger({ tenantId: 'acme', name: 'Ada' })
      await sendGreeting.trigger({ tenantId: 'acme', name: null }) // wrong: Type 'null'
      const result = await sendGreeting.triggerAndWait({ tenantId: 'acme', name: 'Ada' })
      const greeting: number = result.ok ? result.output.greeting : 0 // wrong: 'string | 0'

      defineTask({
        id: 'a/e',
        payload: tenantPayload({}),
        services: ['stripe', 'resend', 'shopify'],
        async run(_, { clients }) {
          const { available } = await clients.stripe.balance.retrieve()
          await clients.stripe.balance.nonsense() // wrong: 'nonsense' does not exist
          const from: string = clients.resend.fromAddress
          await clients.mux.video.assets.list() // wrong: 'mux' does not exist
          return { amount: available[0]?.amount, from, shop: await clients.shopify.request('{ shop { name } }') }
        },
      })
      defineTask({ id: 'a/f', payload: tenantPayload({}), services: ['paypal'], run: () => null }) // wrong: "paypal"
      defineTask({ id: 'a/b', payload: z.object({ tenantId: z.string() }), run: () => greeting })
      defineTask({ id: 'a/c', payload: z.object({ name: z.string() }), run: () => {} }) // wrong: must require tenantId
      defineTask({ id: 'a/d', payload: tenantPayload({}), run: ({ name }) => name }) // wrong: 'name' does not exist
    `,
  }
}
