/** JSON merge patch, RFC 7396: what the patch names is replaced, null removes, objects are merged, lists are replaced. */
import type { JsonValue } from '../../task/json.ts'

export function mergePatch(target: JsonValue, patch: JsonValue): JsonValue {
  if (!isObject(patch)) return patch
  const merged = new Map<string, JsonValue>(isObject(target) ? Object.entries(target) : [])
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) merged.delete(name)
    else merged.set(name, mergePatch(merged.get(name) ?? null, value))
  }
  // Own properties, whatever their names: `__proto__` is one like any other.
  return Object.fromEntries(merged)
}

function isObject(value: JsonValue): value is { [name: string]: JsonValue } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
