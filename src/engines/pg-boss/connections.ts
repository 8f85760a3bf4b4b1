/**
 * The engine's own connections, apart from those of tasks. A claim, a settlement or a heartbeat that waited behind the
 * statements of tasks would starve the worker that runs them, and a heartbeat that comes too late loses its runs.
 */
export const queueConnections = 5
