// Folders that setup reads and writes: the package, and the user's cache (shared by every install).
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const packageRoot = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
export const buildFolder = path.join(packageRoot, 'build')

/** FT_NATIVE_CACHE, else the platform's cache folder of the user. */
export function cacheFolder(env = process.env, platform = process.platform, home = os.homedir()) {
  if (env.FT_NATIVE_CACHE) return path.resolve(env.FT_NATIVE_CACHE)
  // The specification of XDG_CACHE_HOME says that a relative path is to be ignored.
  if (env.XDG_CACHE_HOME && path.isAbsolute(env.XDG_CACHE_HOME)) return path.join(env.XDG_CACHE_HOME, 'ft-native')
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches', 'ft-native')
  if (platform === 'win32') return path.join(env.LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'ft-native', 'cache')
  return path.join(home, '.cache', 'ft-native')
}
