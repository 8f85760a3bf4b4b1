/** What a source file imports, and whether it reads the environment: read from its syntax tree. */
import { parseAst } from 'vitest/node'

export interface Import {
  specifier: string
  /** `type`: gone when it runs. `lazy`: `import()`, loaded when that line is reached. */
  kind: 'value' | 'type' | 'lazy'
}

export interface Source {
  imports: Import[]
  readsEnvironment: boolean
}

export function readSource(code: string): Source {
  const source: Source = { imports: [], readsEnvironment: false }
  visit(parseAst(code, { lang: 'ts' }), source)
  return source
}

function visit(node: unknown, source: Source): void {
  if (Array.isArray(node)) {
    for (const item of node) visit(item, source)
    return
  }
  if (typeof node !== 'object' || node === null) return
  const { type } = node as { type?: string }
  const found = type === undefined ? null : readImport(node as ImportNode)
  if (found) source.imports.push(found)
  if (readsEnvironment(node as EnvironmentNode)) source.readsEnvironment = true
  for (const child of Object.values(node)) visit(child, source)
}

interface ImportNode {
  type: string
  source?: { type: string; value: unknown } | null
  importKind?: 'value' | 'type'
  exportKind?: 'value' | 'type'
}

function readImport({ type, source, importKind, exportKind }: ImportNode): Import | null {
  // A computed specifier (`import(path)`) names no file that could be checked.
  if (typeof source?.value !== 'string') return null
  const specifier = source.value
  if (type === 'ImportExpression') return { specifier, kind: 'lazy' }
  if (type === 'TSImportType') return { specifier, kind: 'type' }
  // `import { type A }` still loads the file, so it counts as a value.
  return { specifier, kind: importKind === 'type' || exportKind === 'type' ? 'type' : 'value' }
}

/** `process.env`, `process['env']`, `globalThis.process.env`, and `env` imported from node:process. */
function readsEnvironment({ type, object, property, source, specifiers }: EnvironmentNode): boolean {
  if (type === 'MemberExpression') {
    const onProcess = object?.name === 'process' || object?.property?.name === 'process'
    return onProcess && (property?.name === 'env' || property?.value === 'env')
  }
  const fromProcess = source?.value === 'node:process' || source?.value === 'process'
  return fromProcess && (specifiers ?? []).some(({ imported }) => imported?.name === 'env')
}

interface EnvironmentNode {
  type?: string
  object?: { name?: string; property?: { name?: string } }
  property?: { name?: string; value?: unknown }
  source?: { value?: unknown } | null
  specifiers?: { imported?: { name?: string } }[]
}
