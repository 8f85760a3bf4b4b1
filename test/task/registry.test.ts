import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { tasks } from '../../src/default-platform.ts'
import { ConfigError, InvalidTaskError, UnknownTaskError } from '../../src/errors.ts'
import { defineTask } from '../../src/task/define.ts'
import { tenantPayload } from '../../src/task/payload.ts'
import { loadRegistry, TaskRegistry } from '../../src/task/registry.ts'

const define = (id: string) => defineTask({ id, payload: tenantPayload({}), run: () => null })

test('a task is found by its id', () => {
  const [one, two] = [define('a/one'), define('a/two')]
  const registry = new TaskRegistry([one, two])
  expect(registry.get('a/two')).toBe(two)
  expect(registry.list()).toEqual([one, two])
  expect(() => registry.get('a/none')).toThrow(UnknownTaskError)
  expect(() => registry.get('__proto__')).toThrow(UnknownTaskError)
})

test('two tasks of one id are refused, and what is no task', () => {
  expect(() => new TaskRegistry([define('a/b'), define('a/b')])).toThrow(/Two tasks have the id "a\/b"/)
  expect(() => new TaskRegistry([{ ...define('a/b') }])).toThrow(/Entry 0/)
  expect(() => new TaskRegistry('tasks' as never)).toThrow(InvalidTaskError)
})

test("the repo's own registry agrees with its folder", async () => {
  const registry = await loadRegistry(join(import.meta.dirname, '../../tasks/index.ts'))
  expect(registry.list().map(({ id }) => id)).toContain('orders/process-order')
})

test('tasks.trigger knows the ids and payloads of the registry: what is wrong does not compile', () => {
  const calls = () => [
    tasks.trigger('orders/process-order', { tenantId: 'rawdog', orderId: 'order_1' }),
    // @ts-expect-error: there is no such task.
    tasks.trigger('orders/no-such-task', { tenantId: 'rawdog', orderId: 'order_1' }),
    // @ts-expect-error: it is orderId.
    tasks.trigger('orders/process-order', { tenantId: 'rawdog', ordrId: 'order_1' }),
    // @ts-expect-error: a payload carries its tenant.
    tasks.batchTrigger('orders/process-order', [{ payload: { orderId: 'order_1' } }]),
  ]
  expect(calls).toBeTypeOf('function')
})

test('a folder that agrees with its list', async () => {
  const index = await folder({
    'orders/process.ts': taskFile('orders/process'),
    'deep/er/one.ts': taskFile('deep/er/one'),
    'orders/process.test.ts': 'throw new Error("a test is not loaded")',
    'orders/prices.ts': 'export const price = 1',
    'types.d.ts': 'export {}',
    'index.ts': `
      import { task as process } from './orders/process.ts'
      import { task as one } from './deep/er/one.ts'
      export default [process, one]`,
  })
  expect((await loadRegistry(index)).list().map(({ id }) => id)).toEqual(['orders/process', 'deep/er/one'])
})

test('a path that is not the id', async () => {
  const index = await folder({
    'orders/process.ts': taskFile('orders/other'),
    'index.ts': `export { list as default } from './list.ts'`,
    'list.ts': `import { task } from './orders/process.ts'; export const list = [task]`,
  })
  await expect(loadRegistry(index)).rejects.toThrow(/"orders\/other".*its id must be/s)
})

test('a file that is not in the list', async () => {
  const index = await folder({
    'orders/process.ts': taskFile('orders/process'),
    'index.ts': 'export default []',
  })
  await expect(loadRegistry(index)).rejects.toThrow(/orders[/\\]process\.ts is not in the registry/)
})

test('a module without a list, and no module', async () => {
  await expect(loadRegistry(await folder({ 'index.ts': 'export const tasks = []' }))).rejects.toThrow(
    /no default export/,
  )
  for (const path of ['/nowhere/index.ts', tmpdir()]) {
    const loading = loadRegistry(path)
    await expect(loading).rejects.toThrow(ConfigError)
    await expect(loading).rejects.toThrow(`There is no module ${path}.`)
  }
  const broken = await folder({ 'index.ts': "import './gone.ts'" })
  await expect(loadRegistry(broken)).rejects.toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' })
})

function taskFile(id: string): string {
  const source = JSON.stringify(join(import.meta.dirname, '../../src/index.ts'))
  return `
    import { defineTask, tenantPayload } from ${source}
    export const task = defineTask({ id: '${id}', payload: tenantPayload({}), run: () => null })`
}

/** Answers the path of its index. */
async function folder(files: Record<string, string>): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'cgk-registry-'))
  onTestFinished(() => rm(path, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true })
    await writeFile(join(path, name), text)
  }
  return join(path, 'index.ts')
}
