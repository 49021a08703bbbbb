// What a model folder is, without reading all of it: SHA-256 over config.json, the name, size and header of every
// safetensors file, and 64 KiB blocks spread over its data (16 a file, the first and the last among them). Retrained
// weights differ everywhere and are always seen; a few changed bytes between the blocks are not. No time stamps: a
// copied folder is the same model.
import { createHash, type Hash } from 'node:crypto'
import fs from 'node:fs/promises'
import path from 'node:path'
import { makeError } from '../../core/errors/index.js'
import { errnoOf, sha256File } from '../../utils/fs.js'

const blockBytes = 64 * 1024
const blocksPerFile = 16
/** Longer headers are hashed in part; real ones are far below. */
const maxHeaderBytes = 16 * 1024 * 1024

/** Hex. `weights` false: config.json alone (random initialisation). */
export async function fingerprintModel(folder: string, options: { weights: boolean }): Promise<string> {
  const hash = createHash('sha256')
  try {
    hash.update(`config ${await sha256File(path.join(folder, 'config.json'))}\n`)
    if (options.weights) for (const name of await safetensorsFiles(folder)) await addFile(hash, folder, name)
  } catch (error) {
    if (errnoOf(error) === '') throw error
    throw makeError('FT_MODEL_NOT_FOUND', `cannot read the model folder ${folder}: ${(error as Error).message}`, {
      remedy: 'point --model at a folder with config.json and safetensors weights',
      details: { path: folder },
      cause: error,
    })
  }
  return hash.digest('hex')
}

async function safetensorsFiles(folder: string): Promise<string[]> {
  return (await fs.readdir(folder)).filter((name) => name.endsWith('.safetensors') && !name.startsWith('adapter_')).sort()
}

async function addFile(hash: Hash, folder: string, name: string): Promise<void> {
  const handle = await fs.open(path.join(folder, name), 'r')
  try {
    const { size } = await handle.stat()
    hash.update(`file ${name} ${size}\n`)
    const length = Buffer.alloc(8)
    await handle.read(length, 0, Math.min(8, size), 0)
    const header = Number(length.readBigUInt64LE())
    const headerEnd = Math.min(size, 8 + Math.min(header, maxHeaderBytes))
    hash.update(await readAt(handle, 0, headerEnd))
    for (const offset of blockOffsets(headerEnd, size)) hash.update(await readAt(handle, offset, Math.min(blockBytes, size - offset)))
  } finally {
    await handle.close()
  }
}

/** Starts of the blocks: evenly spread, the last one ends with the file. */
function blockOffsets(start: number, end: number): number[] {
  const last = Math.max(start, end - blockBytes)
  const offsets = Array.from({ length: blocksPerFile }, (_, index) => start + Math.floor(((last - start) * index) / (blocksPerFile - 1)))
  return [...new Set(offsets)]
}

async function readAt(handle: fs.FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length)
  const { bytesRead } = await handle.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
