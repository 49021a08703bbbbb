// Where this package keeps what it can make again.
import os from 'node:os'
import path from 'node:path'

/** FT_NATIVE_CACHE, else the user's cache folder, as scripts/setup has it. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env, platform: string = process.platform, home: string = os.homedir()): string {
  if (env.FT_NATIVE_CACHE) return path.resolve(env.FT_NATIVE_CACHE)
  if (env.XDG_CACHE_HOME && path.isAbsolute(env.XDG_CACHE_HOME)) return path.join(env.XDG_CACHE_HOME, 'ft-native')
  if (platform === 'darwin') return path.join(home, 'Library', 'Caches', 'ft-native')
  if (platform === 'win32') return path.join(env.LOCALAPPDATA ?? path.join(home, 'AppData', 'Local'), 'ft-native', 'cache')
  return path.join(home, '.cache', 'ft-native')
}
