/** The UUID that names a payout at a provider that insists on one: version 5, made of its name, so always the same. */

/** Any UUID would do, as long as it never changes. */
const namespace = '6f0e2b5c-3d0a-4c53-9a52-6d6b9f1f0c7e'

export async function payoutUuid(tenantId: string, payoutId: string): Promise<string> {
  const name = new TextEncoder().encode(`${tenantId}/${payoutId}`)
  const digest = await crypto.subtle.digest('SHA-1', Uint8Array.from([...bytesOf(namespace), ...name]))
  const bytes = new Uint8Array(digest).slice(0, 16)
  bytes[6] = (bytes[6]! & 0x0f) | 0x50
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function bytesOf(uuid: string): number[] {
  return (uuid.replaceAll('-', '').match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16))
}
