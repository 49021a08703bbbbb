// One prepared data set on disk: tokens.bin (token-file.ts), index.bin, and manifest.json with the report. It is written beside its
// place and renamed, so that it is there whole or not at all, and of two writers the first wins. What does not match its own sums
// when it is opened counts as absent.
import { createHash, randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { errnoOf, fsyncFile, fsyncFolder, makeFolder, removePath, writeFileSynced } from '../../utils/fs.js'
import { FileRow, indexWords, TokenFile } from '../store/token-file.js'
import { checksum, unpackIds, unpackLabels } from '../store/row-codec.js'
import { countSupervised, type EncodedRow, type PreparedDataset } from '../types.js'

interface Manifest extends Pick<PreparedDataset, 'report' | 'fingerprint' | 'templateDate' | 'ownValidation'> {
  train: number
  validation: number
  words: number
  /** SHA-256 of index.bin, which has the checksum of every row. */
  index: string
}

const rowsBetweenTurns = 20_000
/** Rows of a large entry that are checked when it is opened; the others are when they are read. */
const checkedRows = 64

export async function writeEntry(folder: string, data: PreparedDataset): Promise<void> {
  const parent = path.dirname(folder)
  await makeFolder(parent)
  const draft = path.join(parent, `.draft-${process.pid}-${randomBytes(6).toString('hex')}`)
  await makeFolder(draft)
  let cleanup = (): void => undefined
  try {
    const tokens = TokenFile.create(path.join(draft, 'tokens.bin'))
    cleanup = () => tokens.close()
    for (const row of [...data.train, ...data.validation]) {
      const { labels } = row
      tokens.append({ inputIds: row.inputIds, labels }, countSupervised(labels))
      if (tokens.rows % rowsBetweenTurns === 0) await nextTurn()
    }
    tokens.flush()
    await fsyncFile(path.join(draft, 'tokens.bin'))
    const index = new Uint8Array(tokens.index().buffer)
    const { report, fingerprint, templateDate, ownValidation } = data
    const manifest: Manifest = { train: data.train.length, validation: data.validation.length, words: tokens.words, index: sha256(index), report, fingerprint, templateDate, ownValidation }
    await writeFileSynced(path.join(draft, 'index.bin'), index)
    await writeFileSynced(path.join(draft, 'manifest.json'), JSON.stringify(manifest))
    await fs.rename(draft, folder).catch(async (error: unknown) => {
      // Somebody else was first, with the same data.
      if (!['EEXIST', 'ENOTEMPTY', 'EPERM'].includes(errnoOf(error))) throw error
    })
    await fsyncFolder(parent)
  } finally {
    cleanup()
    await removePath(draft)
  }
}

/** null: there is none, or it is damaged; what is damaged is removed. `memoryBudget`: bytes of rows that are held in memory. */
export async function readEntry(folder: string, memoryBudget: number): Promise<PreparedDataset | null> {
  let manifest: Manifest
  try {
    manifest = JSON.parse(await fs.readFile(path.join(folder, 'manifest.json'), 'utf8')) as Manifest
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    return await damaged(folder)
  }
  try {
    const bytes = await fs.readFile(path.join(folder, 'index.bin'))
    const { size } = await fs.stat(path.join(folder, 'tokens.bin'))
    const { train, validation, words } = manifest
    if (sha256(bytes) !== manifest.index || size !== words * 4 || bytes.length !== (train + validation) * indexWords * 4) return await damaged(folder)
    const index = new Uint32Array(new Uint8Array(bytes).buffer)
    const rows = words * 8 <= memoryBudget ? await heldRows(folder, index) : filedRows(folder, index)
    if (rows === null) return await damaged(folder)
    const now = new Date()
    await fs.utimes(path.join(folder, 'manifest.json'), now, now).catch(() => undefined)
    const { report, fingerprint, templateDate, ownValidation } = manifest
    return { train: rows.slice(0, train), validation: rows.slice(train), report, fingerprint, templateDate, ...(ownValidation ? { ownValidation } : {}) }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return await damaged(folder)
    throw error
  }
}

async function damaged(folder: string): Promise<null> {
  await removePath(folder)
  return null
}

/** All rows, checked. The ids of many rows share one array. */
async function heldRows(folder: string, index: Uint32Array): Promise<EncodedRow[] | null> {
  const bytes = await fs.readFile(path.join(folder, 'tokens.bin'))
  const words = new Int32Array(bytes.buffer.byteLength === bytes.length ? bytes.buffer : new Uint8Array(bytes).buffer)
  const rows: EncodedRow[] = []
  for (let at = 0; at < index.length; at += indexWords) {
    const [low, high, count, length, , sum] = index.subarray(at, at + indexWords) as unknown as [number, number, number, number, number, number]
    const begin = low + high * 2 ** 32
    const row = { words: words.subarray(begin, begin + count), length }
    if (row.words.length !== count || checksum(row.words) >>> 0 !== sum) return null
    rows.push({ inputIds: unpackIds(row), labels: unpackLabels(row) })
    if (rows.length % rowsBetweenTurns === 0) await nextTurn()
  }
  return rows
}

function filedRows(folder: string, index: Uint32Array): EncodedRow[] | null {
  const file = TokenFile.open(path.join(folder, 'tokens.bin'), index)
  try {
    for (let i = 0; i < checkedRows; i++) file.read(Math.floor((i * (file.rows - 1)) / (checkedRows - 1)))
  } catch {
    return null
  }
  return Array.from({ length: file.rows }, (_, row) => new FileRow(file, row))
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
