// Loaders by name and by file. A loader turns one file into rows; to add one, write a file here and a row in
// index.ts, or call registerLoader from a plugin.
import { open } from 'node:fs/promises'
import path from 'node:path'
import { fail } from '../../core/errors/index.js'
import { names, Registry } from '../../core/registry.js'
import type { LoadedRow } from '../types.js'
import { readError, type ReadOptions } from './read.js'

export type LoadOptions = ReadOptions

export interface DatasetLoader {
  /** "jsonl"; unique. */
  readonly name: string
  /** With the dot, lower case: ".jsonl". */
  readonly extensions: readonly string[]
  /** True where the first bytes of a file look like this format; asked when no extension matches. */
  recognises?(head: Uint8Array): boolean
  /** The rows in order. A bad row is yielded as a problem; damage that hides later rows is thrown as FT_DATASET. */
  load(file: string, options?: LoadOptions): AsyncIterable<LoadedRow>
}

const headBytes = 4096

export class LoaderRegistry {
  readonly #entries = new Registry<DatasetLoader>(names.loaders)

  register(loader: DatasetLoader, options: { replace?: boolean } = {}): void {
    const { name, extensions, load } = (loader ?? {}) as Partial<DatasetLoader>
    if (typeof name !== 'string' || !Array.isArray(extensions) || typeof load !== 'function') {
      fail('FT_INVALID_ARGUMENT', 'a loader has a name, a list of extensions and a function load', { remedy: 'docs/data.md has an example' })
    }
    for (const extension of loader.extensions) {
      if (!/^\.[^A-Z/\\]+$/.test(extension)) {
        fail('FT_INVALID_ARGUMENT', `"${extension}" cannot be the extension of the loader "${loader.name}"`, {
          remedy: 'write it in lower case with the dot: ".csv"',
        })
      }
    }
    this.#entries.register(loader.name, loader, options)
  }

  get(name: string): DatasetLoader {
    return this.#entries.get(name)
  }

  names(): string[] {
    return this.#entries.names()
  }

  extensions(): string[] {
    return [...this.#loaders()].flatMap((loader) => [...loader.extensions])
  }

  /** By extension (the longest wins, and of equals the latest registered), else by the first bytes. */
  async forFile(file: string): Promise<DatasetLoader> {
    const name = path.basename(file).toLowerCase()
    let best: { loader: DatasetLoader; length: number } | undefined
    for (const loader of this.#loaders()) {
      for (const extension of loader.extensions) {
        if (name.endsWith(extension) && extension.length >= (best?.length ?? 0)) best = { loader, length: extension.length }
      }
    }
    if (best !== undefined) return best.loader
    const head = await readHead(file)
    for (const loader of this.#loaders()) if (loader.recognises?.(head)) return loader
    const extension = path.extname(name)
    return fail('FT_DATASET', `no loader reads ${file}${extension === '' ? '' : ` (${extension})`}`, {
      remedy: `convert it to JSONL, one JSON object a line; known: ${this.extensions().join(', ')}`,
      details: { path: file, extensions: this.extensions() },
    })
  }

  *#loaders(): Generator<DatasetLoader> {
    for (const [, loader] of this.#entries.entries()) yield loader
  }
}

async function readHead(file: string): Promise<Buffer> {
  try {
    const handle = await open(file, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(headBytes), 0, headBytes, 0)
      const head = buffer.subarray(0, bytesRead)
      return head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? head.subarray(3) : head
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw readError(file, error)
  }
}
