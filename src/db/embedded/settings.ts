/** The server settings, as `-c name=value` arguments. */

export function settingArguments(port: number, durable: boolean, extra: Record<string, string>): string[] {
  const settings = { ...DEFAULTS, ...(durable ? {} : NOT_DURABLE), ...extra, ...reachable(port) }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

const DEFAULTS: Record<string, string> = {
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_checkpoints: 'off',
  max_connections: '200',
  // A transaction locks every table and index it creates or drops; a tenant has hundreds of them.
  max_locks_per_transaction: '1024',
  // The default syncs file by file after a crash: minutes with 400,000 files, a second with syncfs (Linux only).
  ...(process.platform === 'linux' ? { recovery_init_sync_method: 'syncfs' } : {}),
}

// For tests only: an operating system crash loses the cluster, which nobody misses.
const NOT_DURABLE = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

// Last, so that no caller opens the server to the network. A socket in a shared folder could be taken by another user.
function reachable(port: number): Record<string, string> {
  return { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '' }
}
