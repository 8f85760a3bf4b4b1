import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readMigrations } from '../../src/db/migrations/files.ts'
import { MigrationError } from '../../src/errors.ts'

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'cgk-migrations-'))
  await mkdir(join(dir, 'tenant'))
  await file('tenant/001_orders.sql', 'CREATE TABLE orders (id text PRIMARY KEY);')
})

afterEach(async () => {
  await rm(dir, { recursive: true })
})

const file = (name: string, sql: string) => writeFile(join(dir, name), sql)

describe('readMigrations', () => {
  it('are read in order, and their checksum does not depend on line ends', async () => {
    await file('tenant/002_more.sql', 'SELECT 1;\nSELECT 2;\n')
    const [, unix] = await readMigrations(dir, 'tenant')
    await file('tenant/002_more.sql', 'SELECT 1;\r\nSELECT 2;\r\n')
    const [, windows] = await readMigrations(dir, 'tenant')
    expect(unix).toMatchObject({ number: 2, name: '002_more.sql', checksum: windows!.checksum })
  })

  it.each([
    ['a gap', '003_gap.sql', /jumps to 003_gap.sql where 002 is expected/],
    ['a number twice', '001_other.sql', /two files with the number/],
    ['another name', 'orders.sql', /is not a migration's name/],
  ])('are refused with %s', async (_, name, message) => {
    await file(`tenant/${name}`, 'SELECT 1;')
    const read = readMigrations(dir, 'tenant')
    await expect(read).rejects.toThrow(MigrationError)
    await expect(read).rejects.toThrow(message)
  })

  it.each(['COMMIT;', 'begin;', '  ROLLBACK TO x;', 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE;'])(
    'are refused when one says %s',
    async (statement) => {
      await file('tenant/002_commit.sql', `SELECT 1;\n${statement}\nSELECT 2;`)
      await expect(readMigrations(dir, 'tenant')).rejects.toThrow(/take BEGIN, COMMIT and ROLLBACK out/)
    },
  )

  it('may hold functions with BEGIN and END', async () => {
    await file(
      'tenant/002_f.sql',
      'CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n RETURN 1;\nEND;\n$$;',
    )
    await expect(readMigrations(dir, 'tenant')).resolves.toHaveLength(2)
  })

  it('are asked for when the folder is missing', async () => {
    await expect(readMigrations(join(dir, 'nowhere'), 'tenant')).rejects.toThrow(/JOBS_MIGRATIONS_DIR/)
  })
})
