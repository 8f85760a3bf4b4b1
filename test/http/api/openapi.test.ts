/** The document that describes the API: valid, and saying of every route what a caller needs to know. */
import { Validator } from '@seriousme/openapi-schema-validator'
import { beforeAll, describe, expect, test } from 'vitest'
import { nobody, onPlatform } from './kit.ts'

onPlatform({ tasks: [] })

interface Operation {
  operationId?: string
  summary?: string
  responses: Record<string, { description: string; content?: Record<string, unknown> }>
}
type Document = {
  openapi: string
  servers: { url: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown> }
}

let document: Document
let operations: [name: string, Operation][]
beforeAll(async () => {
  document = (await nobody.get('/openapi.json')).body
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  )
})

test('it is a valid document of OpenAPI 3.1, for everybody to read', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(document))
  expect({ valid, errors }).toEqual({ valid: true, errors: undefined })
  expect(document).toMatchObject({ openapi: '3.1.0', servers: [{ url: '/api/v1' }] })
})

describe('every route', () => {
  test('has a summary and an id of its own', () => {
    const unnamed = operations.filter(([, { summary, operationId }]) => !summary || !operationId)
    expect(unnamed.map(([name]) => name)).toEqual([])
    const ids = operations.map(([, { operationId }]) => operationId)
    expect(ids.filter((id, index) => ids.indexOf(id) < index)).toEqual([])
  })

  test('says how it answers, and that whatever it refuses is a problem', () => {
    const wrong = operations.filter(([, { responses }]) => {
      const [fine, refused] = [/^2/, /^[45]/].map((those) =>
        Object.entries(responses).filter(([status]) => those.test(status)),
      )
      const areProblems = refused!.every(([, { content }]) => content?.['application/problem+json'])
      const expected = ['400', '401', '403', '503'].every((status) => status in responses)
      return fine!.length === 0 || !areProblems || !expected
    })
    expect(wrong.map(([name]) => name)).toEqual([])
  })

  test('that changes something can also say that it is not there, or not now, or not so', () => {
    // One's own session is always there.
    const changing = operations.filter(([name]) => !/^GET| \/sessions?\b/.test(name))
    const wrong = changing.filter(
      ([, { responses }]) => !['404', '409', '422'].some((status) => status in responses),
    )
    expect(wrong.map(([name]) => name)).toEqual([])
  })
})

test('what repeats has a name', () => {
  expect(Object.keys(document.components.schemas)).toEqual(
    expect.arrayContaining(['Action', 'Attempt', 'AuditEntry', 'LogLine', 'Problem', 'Run', 'Task']),
  )
})
