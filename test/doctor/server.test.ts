/** The checks of what is around the tables: configuration, server, rights, clock, connections, notifications. */
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { namesInEnvironment } from '../../src/config.ts'
import { Database } from '../../src/db/database.ts'
import { startTemporaryPostgres } from '../../src/db/embedded/temporary.ts'
import { clock } from '../../src/doctor/clock.ts'
import { configuration } from '../../src/doctor/configuration.ts'
import { connections } from '../../src/doctor/connections.ts'
import { examine, look } from '../../src/doctor/examine.ts'
import { notifications } from '../../src/doctor/notifications.ts'
import { reachable } from '../../src/doctor/reachable.ts'
import { rights } from '../../src/doctor/rights.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { loadRegistry } from '../../src/task/registry.ts'
import { openPatient, type Patient, said, withLogin } from './kit.ts'

const charge = defineTask({
  id: 'doctor/charge',
  payload: tenantPayload({ id: z.string() }),
  services: ['stripe', 'shopify'],
  webhooks: [{ service: 'stripe', events: ['topup.succeeded'], payload: () => null }],
  run: () => null,
})
const key = 'c'.repeat(64)

let patient: Patient
beforeAll(async () => {
  patient = await openPatient([charge])
})
afterAll(() => patient[Symbol.asyncDispose]())

describe('configuration', () => {
  const complete = { encryptionKeys: key, shopifyEncryptionKeys: key, publicUrl: 'https://jobs.example.com' }

  test('with everything that the tasks need', async () => {
    const environment = namesInEnvironment({ DATABASE_URL: 'postgres://a:hush@b/c', PATH: '/bin' })
    const findings = await look(configuration, { ...patient.subject(complete), environment })
    expect(said(findings)).toEqual([
      ['ok', '1 variable is given and can be used: DATABASE_URL.'],
      ['ok', '1 task is registered.'],
    ])
  })

  test('what is missing for what', async () => {
    const environment = namesInEnvironment({ JOBS_POOLSIZE: '20' })
    const subject = { ...patient.subject({ engine: 'trigger.dev', triggerSecretKey: null }), environment }
    expect(said(await look(configuration, subject))).toEqual([
      ['ok', expect.stringContaining('everything is as by default')],
      ['warning', expect.stringMatching(/^JOBS_POOLSIZE is no variable/)],
      ['problem', expect.stringContaining('no TRIGGER_SECRET_KEY')],
      ['ok', '1 task is registered.'],
      ['warning', expect.stringMatching(/^Without SHOPIFY_TOKEN_ENCRYPTION_KEY .* need shopify/)],
      ['warning', expect.stringMatching(/^Without INTEGRATION_ENCRYPTION_KEY .* need stripe/)],
      ['warning', expect.stringMatching(/^Without JOBS_PUBLIC_URL .*doctor\/charge/)],
    ])
    expect(said(await patient.look(configuration, { ...complete, engine: 'inline' }))).toContainEqual([
      'warning',
      expect.stringContaining('memory of one process'),
    ])
  })

  test('tasks that cannot be loaded, and none at all', async () => {
    const tasks = loadRegistry(resolve('nowhere/tasks.ts')).then((registry) => registry.list())
    expect(said(await look(configuration, { ...patient.subject(complete), tasks }))).toContainEqual([
      'problem',
      expect.stringMatching(/cannot be loaded: There is no module .*nowhere/),
    ])
    const none = { ...patient.subject(complete), tasks: Promise.resolve([]) }
    expect(said(await look(configuration, none))).toContainEqual([
      'warning',
      expect.stringContaining('There are no tasks'),
    ])
  })
})

describe('database', () => {
  async function lookAt(url: string) {
    const admit = () => Promise.reject(new Error('Nobody works here.'))
    const database = new Database({ url, poolSize: 1, admit })
    try {
      return await examine({ ...patient.subject(), database })
    } finally {
      await database.close()
    }
  }

  test('one that answers', async () => {
    expect(said(await patient.look(reachable))).toEqual([
      ['ok', expect.stringMatching(/^The database test_\w+ is on Postgres \d+/)],
    ])
  })

  test.each([
    ['nobody listens', { host: '127.0.0.1:1' }, /ECONNREFUSED/, /server runs/],
    ['there is no such database', { pathname: '/nowhere' }, /nowhere/, /Create the database/],
    ['the password is wrong', { password: 'hush' }, /password|authentication/, /password in DATABASE_URL/],
  ])('%s: nothing else is looked at', async (_, broken, found, todo) => {
    const url = Object.assign(new URL(patient.platform.databaseUrl), broken)
    const findings = (await lookAt(url.href)).filter(({ check }) => check !== 'configuration')
    expect(findings).toEqual([
      {
        check: 'database',
        state: 'problem',
        found: expect.stringMatching(found),
        todo: expect.stringMatching(todo),
      },
    ])
    expect(JSON.stringify(findings)).not.toContain('hush')
  })
})

describe('rights', () => {
  test('a login that may do what it needs, and no more', async () => {
    const grants = (login: string, name: string) => [
      `GRANT CREATE ON DATABASE ${name} TO ${login}`,
      `GRANT CREATE ON SCHEMA public TO ${login}`,
    ]
    await withLogin(patient.database, 'CREATEROLE', grants, async (database) => {
      expect(said(await look(rights, { ...patient.subject(), database }))).toEqual([
        ['ok', expect.stringMatching(/may create schemas, tables and roles/)],
      ])
    })
  })

  test('one that lacks all of it is told the statements', async () => {
    await withLogin(
      patient.database,
      '',
      () => [],
      async (database) => {
        const findings = await look(rights, { ...patient.subject(), database })
        expect(findings.map(({ state, todo }) => [state, todo])).toEqual([
          ['problem', expect.stringMatching(/^Run as a superuser: ALTER ROLE "doctor_\w+" CREATEROLE$/)],
          ['problem', expect.stringContaining('GRANT CREATE ON DATABASE')],
          ['problem', expect.stringContaining('GRANT CREATE ON SCHEMA public')],
        ])
      },
    )
  })

  test('a superuser is more than is needed', async () => {
    const server = await startTemporaryPostgres()
    const admit = () => Promise.reject(new Error('Nobody works here.'))
    const database = new Database({ url: server.adminUrl, poolSize: 1, admit })
    expect(said(await look(rights, { ...patient.subject(), database }))).toEqual([
      ['warning', expect.stringContaining('is a superuser')],
    ])
    await database.close()
    await server.stop()
  })
})

describe('clock', () => {
  test('the time is the same', async () => {
    expect(said(await patient.look(clock))).toEqual([['ok', expect.stringContaining('agree on the time')]])
  })

  test.each([
    ['warning', 5_000, /^The clock of this process is \d+ ms ahead of/],
    ['problem', -3_600_000, /^The clock of this process is \d+ ms behind/],
  ])('%s: %i ms apart', async (state, apart, found) => {
    const findings = await look(clock, { ...patient.subject(), now: () => Date.now() + apart })
    expect(said(findings)).toEqual([[state, expect.stringMatching(found)]])
    expect(findings[0]!.todo).toContain('NTP')
  })
})

describe('connections', () => {
  test('there is room', async () => {
    expect(said(await patient.look(connections, { poolSize: 2 }))).toEqual([
      [
        'ok',
        expect.stringMatching(
          /^\d+ of \d+ connections of the server are in use, and a worker opens up to 9\.$/,
        ),
      ],
    ])
  })

  test('a pool that the server can never fill', async () => {
    expect(said(await patient.look(connections, { poolSize: 500 }))).toEqual([
      ['problem', expect.stringMatching(/^The server has \d+ connections, and a worker opens up to 507\.$/)],
    ])
  })

  test('a limit of the login itself, most of which is taken', async () => {
    const limited = 'CONNECTION LIMIT 9'
    await withLogin(
      patient.database,
      limited,
      () => [],
      async (database) => {
        const subject = { ...patient.subject({ poolSize: 2 }), database }
        const findings = await look(connections, subject)
        expect(said(findings)).toEqual([
          ['warning', expect.stringMatching(/^\d of 9 connections of the login are in use/)],
        ])
      },
    )
  })
})

describe('notifications', () => {
  test('they arrive', async () => {
    expect(said(await patient.look(notifications))).toEqual([
      ['ok', expect.stringContaining('Notifications arrive')],
    ])
    expect(await patient.look(notifications, { engine: 'inline' })).toEqual([])
  })

  test('the URL for them leads nowhere', async () => {
    const directUrl = 'postgres://jobs:hush@127.0.0.1:1/jobs'
    const findings = await patient.look(notifications, { directUrl })
    expect(said(findings)).toEqual([['warning', expect.stringContaining('ECONNREFUSED')]])
    expect(JSON.stringify(findings)).not.toContain('hush')
  })
})
