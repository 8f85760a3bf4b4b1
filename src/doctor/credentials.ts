/** Whether every credential can be decrypted, and whether every key is still needed. No value is kept or told. */

import { decrypt, keyIdOf } from '../credentials/encryption.ts'
import type { KeyRings } from '../credentials/key-rings.ts'
import { credentialTable } from '../credentials/rows.ts'
import type { Database } from '../db/database.ts'
import { portions } from '../portions.ts'
import type { Check } from './check.ts'
import { count, orOk, problem, type Said, some, warning } from './finding.ts'

interface Row {
  tenantId: string
  service: string
  key: string
  encrypted: string
  status: 'active' | 'invalid'
}

/** Tenants whose credentials are read by one statement. */
const portion = 200

export const credentials: Check = {
  name: 'credentials',
  async look({ database, keys }) {
    const used = new Map<string, Set<string>>()
    const unreadable: string[] = []
    const invalid = new Set<string>()
    let total = 0
    for await (const row of readAll(database)) {
      total += 1
      if (!isReadable(row, keys)) unreadable.push(`${row.service} ${row.key} of ${row.tenantId}`)
      if (row.status === 'invalid') invalid.add(`${row.service} of ${row.tenantId}`)
      noteKey(row, keys, used)
    }
    return orOk(
      [
        unreadable.length > 0 &&
          problem(
            `${count(unreadable.length, 'credential', 'credentials')} cannot be decrypted: ${some(unreadable)}.`,
            'Give this process the key they were encrypted with, or set them again with cgk credential:set.',
          ),
        invalid.size > 0 &&
          warning(
            `Providers have refused ${some([...invalid])}.`,
            'Replace them with cgk credential:set, or try again with cgk credential:verify.',
          ),
        ...(unreadable.length > 0 ? [] : aboutKeys(keys, used)),
      ],
      total === 0 ? 'No tenant has credentials yet.' : `${count(total, 'credential')} can be decrypted.`,
    )
  },
}

/** A tenant that is being made or has lost its schema has none to read. */
async function* readAll(database: Database): AsyncGenerator<Row> {
  const { rows } = await database.query<{ slug: string }>(
    `SELECT slug FROM public.organizations
      WHERE to_regclass('tenant_' || slug || '.tenant_api_credentials') IS NOT NULL ORDER BY slug`,
  )
  const slugs = rows.map(({ slug }) => slug)
  for (const some of portions(slugs, portion)) {
    const text = some.map(
      (slug, index) =>
        `SELECT $${index + 1}::text AS "tenantId", service_name AS service, credential_key AS key,
                encrypted_value AS encrypted, status FROM ${credentialTable(slug)}`,
    )
    yield* (await database.query<Row>(text.join(' UNION ALL '), some)).rows
  }
}

function isReadable({ tenantId, service, key, encrypted }: Row, keys: KeyRings): boolean {
  try {
    decrypt(encrypted, { tenantId, service, key }, keys.of(service))
    return true
  } catch {
    return false
  }
}

function noteKey({ tenantId, service, key, encrypted }: Row, keys: KeyRings, used: Map<string, Set<string>>) {
  const { variable } = keys.of(service)
  try {
    const ids = used.get(variable) ?? new Set()
    used.set(variable, ids.add(keyIdOf(encrypted, { tenantId, service, key })))
  } catch {
    // It has no key that could be read off, and was counted as unreadable.
  }
}

function aboutKeys(keys: KeyRings, used: ReadonlyMap<string, ReadonlySet<string>>): Said[] {
  return keys.all().flatMap((ring) => {
    const [current, ...older] = ring.ids
    const inUse = used.get(ring.variable) ?? new Set<string>()
    const idle = older.filter((id) => !inUse.has(id))
    const old = older.filter((id) => inUse.has(id))
    return [
      old.length > 0 &&
        warning(
          `Credentials are still encrypted with ${some(old)} of ${ring.variable}, and the key for new ones is ${current}.`,
          'Run: cgk credential:rotate',
        ),
      idle.length > 0 &&
        warning(
          `No credential is encrypted with ${some(idle)} of ${ring.variable} any more.`,
          'Take it out of the list, once no backup needs it.',
        ),
    ].filter((one) => one !== false)
  })
}
