// Fixtures and temporary folders for the tests of the data floor.
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { FineTuneError, type ErrorCode } from '../../../lib/core/errors/index.js'
import { loadTokenizer, planEpoch, type EpochOptions, type TextTokenizer } from '../../../lib/data/index.js'

const root = fileURLToPath(new URL('../../fixtures/', import.meta.url))

export function fixture(name: string): string {
  return path.join(root, name)
}

export function readFixture<T>(name: string): T {
  return JSON.parse(readFileSync(fixture(name), 'utf8')) as T
}

/** step → micro-batch → row indices */
export function stepsOf(options: EpochOptions): number[][][] {
  return [...planEpoch(options)]
}

/** A folder that is gone after the tests of the enclosing describe. */
export function temporaryFolder(): { path(...names: string[]): string; write(name: string, content: string | Uint8Array): string } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ft-data-'))
  after(() => rmSync(folder, { recursive: true, force: true }))
  return {
    path: (...names) => path.join(folder, ...names),
    write(name, content) {
      const file = path.join(folder, name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, content)
      return file
    },
  }
}

/** The typed error of a call that must fail. */
export async function failure(work: () => unknown, code: ErrorCode): Promise<FineTuneError> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof FineTuneError)) throw error
    expect(error.code, error.message).to.equal(code)
    return error
  }
  throw new Error(`expected ${code}, but the call succeeded`)
}

/** As the goldens have it: SHA-256 of little-endian int32. */
export function digest(ids: Int32Array): string {
  return createHash('sha256').update(new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength)).digest('hex')
}

/** Rows as JSONL files of the folder; a text stands as it is. Names count up where none is given. */
export function rowFiles(folder: { write(name: string, content: string): string }): (rows: readonly (object | string)[], name?: string) => string {
  let files = 0
  return (rows, name = `rows-${files++}.jsonl`) => folder.write(name, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'))
}

/** Fixtures by name, loaded before the tests of the enclosing describe and disposed of after them. */
export function tokenizers<Name extends string>(...names: readonly Name[]): Record<Name, TextTokenizer> {
  const loaded: Partial<Record<Name, TextTokenizer>> = {}
  before(async () => {
    for (const name of names) loaded[name] = await loadTokenizer(fixture(`tokenizers/${name}-style`))
  })
  after(() => {
    for (const name of names) loaded[name]?.dispose()
  })
  return loaded as Record<Name, TextTokenizer>
}
