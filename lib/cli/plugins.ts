// --plugin files: JavaScript modules that register trainers, loaders … before the configuration is read.
// A plugin imports 'ft-native' itself, or exports `register(api)` and gets the package handed in.
// Errors: FT_PLUGIN naming the file.
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { FineTuneError, fail } from '../core/errors/index.js'

export async function loadPlugins(files: readonly string[]): Promise<void> {
  for (const file of files) await loadPlugin(path.resolve(file), file)
}

async function loadPlugin(absolute: string, file: string): Promise<void> {
  try {
    const module: unknown = await import(pathToFileURL(absolute).href)
    const register: unknown = typeof module === 'object' && module !== null ? Reflect.get(module, 'register') : undefined
    if (typeof register === 'function') await (register as (api: unknown) => unknown)(await import('../index.js'))
  } catch (error) {
    if (error instanceof FineTuneError) throw error
    const message = error instanceof Error ? error.message : String(error)
    const withoutPackage = /Cannot find (?:package|module) 'ft-native'/.test(message)
    fail('FT_PLUGIN', `the plugin ${file} failed: ${message}`, {
      remedy: withoutPackage ? 'install ft-native beside the plugin, or export function register(api) from it: that gets the package handed in' : 'check the path and the file; --verbose shows its stack',
      details: { file: absolute },
      cause: error,
    })
  }
}
