/**
 * Whether a host is one that the whole internet reaches, judged by its name or address alone. `host` is the `hostname`
 * of a URL, which has normalised every way to write an address: 0x7f.1, 2130706433 and ①27.0.0.1 are 127.0.0.1 by now.
 */
export function isPublicHost(host: string): boolean {
  if (host.startsWith('[')) return isPublicIPv6(host.slice(1, -1))
  if (/^[\d.]+$/.test(host)) return isPublicIPv4(host)
  const labels = host.replace(/\.$/, '').split('.')
  return labels.length > 1 && !privateDomains.has(labels.at(-1)!)
}

/** Reserved for use inside a network, or asked for so often there that they are never sold. */
const privateDomains = new Set([
  'arpa',
  'corp',
  'home',
  'internal',
  'intranet',
  'lan',
  'local',
  'localdomain',
  'localhost',
  'onion',
  'private',
])

/** IANA's registry of special addresses: none of them is a host on the internet. */
const specialIPv4 = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
].map((range) => {
  const [address, bits] = range.split('/') as [string, string]
  const size = 2 ** (32 - Number(bits))
  return { block: Math.floor(numberOf(address) / size), size }
})

function isPublicIPv4(address: string): boolean {
  const number = numberOf(address)
  return !specialIPv4.some(({ block, size }) => Math.floor(number / size) === block)
}

function numberOf(address: string): number {
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0)
}

/**
 * Only 2000::/3 is given to hosts. That leaves out loopback, link-local, unique local, multicast, and the addresses that
 * carry an IPv4 one (::ffff:127.0.0.1, 64:ff9b::7f00:1); of what is inside, so do 2002::/16 and 2001::/23, and two
 * ranges are for documentation.
 */
function isPublicIPv6(address: string): boolean {
  const [first = 0, second = 0] = groupsOf(address)
  if (first < 0x2000 || first > 0x3fff) return false
  if (first === 0x2002) return false
  if (first === 0x2001 && (second < 0x200 || second === 0xdb8)) return false
  return !(first === 0x3fff && second < 0x1000)
}

function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const read = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
  if (tail === undefined) return read(head)
  const [before, after] = [read(head), read(tail)]
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after]
}
