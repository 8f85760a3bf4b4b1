/** What counts as one address: an IPv4 address, or the /64 of an IPv6 one, for that much anybody gets from a provider. */
import { isIPv4, isIPv6 } from 'node:net'

/** Null where it is no address. */
export function networkOf(address: string | null): string | null {
  if (address === null) return null
  const [, mapped = address] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (isIPv4(mapped)) return mapped
  return isIPv6(address) ? `${firstHalf(address)}::/64` : null
}

function firstHalf(address: string): string {
  // A URL writes each address in one way; the name of an interface (%eth0) has no place in it.
  const canonical = new URL(`http://[${address.replace(/%.*/, '')}]`).hostname.slice(1, -1)
  const [left, right] = canonical.split('::').map((part) => (part === '' ? [] : part.split(':')))
  const zeros = right === undefined ? [] : Array<string>(8 - left!.length - right.length).fill('0')
  return [...left!, ...zeros, ...(right ?? [])].slice(0, 4).join(':')
}
