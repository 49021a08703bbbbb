// One writer per output folder: a lock that dies with the process.
import { native } from '../native/binding.js'

/** flock on <folder>/.ft-native.lock. Errors: FT_OUTPUT_LOCKED naming the holder; FT_STORAGE. */
export function lockFolder(folder: string): { release(): void } {
  return native().lockFolder(folder)
}
