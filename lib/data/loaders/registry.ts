// Loaders by name and by file. To add one, write a file here and a row in index.ts, or call registerLoader from a plugin.
import path from 'node:path'
import { fail } from '../../core/errors/index.js'
import { names, Registry } from '../../core/registry.js'
import type { DatasetLoader, LoadOptions } from './loader.js'
import { noteFormat, unknownFormat } from './sniff.js'
import { readHead } from './read.js'
import { withoutPacking } from './unpack.js'

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

  /** The loader whose extension a file has: the longest wins, and of equals the latest registered. */
  forName(file: string): DatasetLoader | undefined {
    const whole = path.basename(file).toLowerCase()
    const inside = withoutPacking(whole)
    let best: { loader: DatasetLoader; length: number } | undefined
    for (const loader of this.#loaders()) {
      for (const extension of loader.extensions) {
        const name = whole.endsWith(extension) ? whole : inside
        if (name.endsWith(extension) && extension.length >= (best?.length ?? 0)) best = { loader, length: extension.length }
      }
    }
    return best?.loader
  }

  /** By `options.format`, else by extension, else by the first bytes, which is logged. Errors: FT_INVALID_CONFIG, FT_DATASET. */
  async forFile(file: string, options: LoadOptions = {}): Promise<DatasetLoader> {
    if (options.format !== undefined) return this.get(options.format)
    const named = this.forName(file)
    if (named !== undefined) return named
    const head = await readHead(file, options)
    const name = options.source?.name ?? file
    const loaders = [...this.#loaders()]
    if (head.whole && head.bytes.every((byte) => byte <= 32 && byte > 0)) return unknownFormat(name, Buffer.alloc(0), this)
    for (const loader of [...loaders.filter(({ catchAll }) => catchAll !== true), ...loaders.filter(({ catchAll }) => catchAll)]) {
      const why = loader.recognises?.(head.bytes, head.whole) ?? false
      if (why === false) continue
      noteFormat(name, loader, why)
      return loader
    }
    return unknownFormat(name, head.bytes, this)
  }

  *#loaders(): Generator<DatasetLoader> {
    for (const [, loader] of this.#entries.entries()) yield loader
  }
}
