/** A Postgres server of a test's own, to be killed and started again where it was. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { type Folder, layout } from '../../src/db/embedded/folder.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../src/db/embedded/index.ts'
import { findPostmaster } from '../../src/db/embedded/pid-file.ts'
import { killPostmaster, stopPostmaster } from '../../src/db/embedded/postmaster.ts'

export class Cluster {
  readonly #folder: Folder
  readonly #handles: EmbeddedPostgres[] = []

  private constructor(path: string) {
    this.#folder = layout(path)
  }

  static async make(test: TestContext): Promise<Cluster> {
    const path = await mkdtemp(join(tmpdir(), 'cgk-chaos-'))
    const cluster = new Cluster(path)
    test.onTestFinished(async () => {
      for (const handle of cluster.#handles) await handle.stop().catch(() => {})
      killPostmaster(cluster.#folder)
      await rm(path, { recursive: true, force: true, maxRetries: 3 })
    })
    await cluster.start()
    return cluster
  }

  get url(): string {
    return this.#handles[0]!.url
  }

  /** On the port it had before. Nobody else brings it back: the outage lasts as long as the test wants. */
  async start(): Promise<void> {
    const handle = await startEmbeddedPostgres({ dataDir: this.#folder.path, durable: true, watch: false })
    this.#handles.push(handle)
    if (handle.url !== this.url) throw new Error(`Postgres came back as ${handle.url}, not as ${this.url}`)
  }

  kill(): void {
    process.kill(findPostmaster(this.#folder)!.pid, 'SIGKILL')
  }

  /** In order, but for its pid file: a crash leaves one, and it is where the next start finds the port. */
  async stop(): Promise<void> {
    const file = join(this.#folder.data, 'postmaster.pid')
    const written = await readFile(file)
    await stopPostmaster(this.#folder)
    await writeFile(file, written, { mode: 0o644 })
  }
}
