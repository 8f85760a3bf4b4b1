/**
 * Stands between a client and Postgres and loses answers: the statement arrives and commits, and instead of its answer
 * the client gets a closed connection.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { TestContext } from 'vitest'

/** ReadyForQuery, outside any transaction: what was sent is committed. */
const committed = Buffer.from('Z\0\0\0\u0005I', 'latin1')

/** The same, inside one: it is the answer to the commit that is lost then. */
const underWay = Buffer.from('Z\0\0\0\u0005T', 'latin1')

export class Wire {
  readonly #server: Server
  readonly #to: URL
  readonly #sockets = new Set<Socket>()
  #statement = ''
  #arrives = true
  #left = 0
  #allLost: () => void = () => {}

  constructor(url: string) {
    this.#to = new URL(url)
    this.#server = createServer((client) => this.#join(client))
  }

  /** The same database, through this wire. */
  async open(test: TestContext): Promise<string> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    test.onTestFinished(() => this.close())
    const url = new URL(this.#to)
    url.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    return url.href
  }

  /** Loses the answers of the next `times` statements that contain this text. Answers when all are lost. */
  async lose(statement: string, times: number): Promise<void> {
    await this.#lose(statement, times, true)
  }

  /** Loses the statements themselves: they never arrive. */
  async loseUnsent(statement: string, times: number): Promise<void> {
    await this.#lose(statement, times, false)
  }

  async #lose(statement: string, times: number, arrives: boolean): Promise<void> {
    this.#statement = statement
    this.#arrives = arrives
    this.#left = times
    await new Promise<void>((resolve) => {
      this.#allLost = resolve
    })
  }

  /** Every connection is cut, and no new one is taken. */
  close(): void {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
  }

  #join(client: Socket): void {
    const server = connect(Number(this.#to.port), this.#to.hostname)
    let doomed = false
    const end = () => {
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      this.#sockets.add(socket)
      socket.on('error', end).on('close', () => {
        this.#sockets.delete(socket)
        end()
      })
    }
    client.on('data', (sent) => {
      if (this.#left > 0 && !doomed && sent.includes(this.#statement)) {
        this.#left -= 1
        doomed = true
        if (!this.#arrives) {
          end()
          if (this.#left === 0) this.#allLost()
          return
        }
      }
      server.write(sent)
    })
    server.on('data', (answered) => {
      if (!doomed || answered.includes(underWay)) client.write(answered)
      else if (answered.includes(committed)) {
        end()
        if (this.#left === 0) this.#allLost()
      }
    })
  }
}
