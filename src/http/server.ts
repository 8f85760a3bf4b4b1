/** The HTTP API on a port of its own: opened, and closed without cutting off an answer. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer, type HttpBindings } from '@hono/node-server'
import { ConfigError } from '../errors.ts'

export interface HttpServer {
  /** As this machine reaches it. */
  readonly url: string
  /** Takes no new requests and waits for the open ones; what is not answered in time is cut off. */
  stop(options: { timeoutMs: number }): Promise<void>
}

export interface HttpServerOptions {
  /** `bindings` has the socket that the request came by. */
  fetch(request: Request, bindings: HttpBindings): Response | Promise<Response>
  /** 0: any that is free. */
  port: number
}

/** A provider sends what it has at once; whoever dribbles only holds a connection. */
const requestTimeoutMs = 30_000
/** Connections that are kept alive become idle one by one, while the last answers are written. */
const lookForIdleMs = 50

/** @throws ConfigError when the port cannot be used. */
export async function startHttpServer({ fetch, port }: HttpServerOptions): Promise<HttpServer> {
  // Without options of HTTP/2 it is one of HTTP/1.
  const server = createAdaptorServer({
    fetch: (request, bindings) => fetch(request, bindings as HttpBindings),
    serverOptions: { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
  }) as Server
  await listen(server, port)
  const { port: chosen } = server.address() as AddressInfo
  return {
    url: `http://localhost:${chosen}`,
    stop: ({ timeoutMs }) => close(server, timeoutMs),
  }
}

async function listen(server: Server, port: number): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(port, resolve)
    })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new ConfigError(`Port ${port} cannot be used (${code}). Choose another one with JOBS_HTTP_PORT.`, {
      cause,
    })
  }
}

async function close(server: Server, timeoutMs: number): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  const idle = setInterval(() => server.closeIdleConnections(), lookForIdleMs)
  const deadline = setTimeout(() => server.closeAllConnections(), timeoutMs)
  await closed
  clearInterval(idle)
  clearTimeout(deadline)
}
