// Lists source files below a folder, as paths with forward slashes relative to it.
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'

export function listFiles(folder, pattern) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => path.relative(folder, path.join(entry.parentPath ?? entry.path, entry.name)).split(path.sep).join('/'))
    .sort()
}

/** folder → floor number */
export function floorNumbers(floors) {
  return new Map(floors.flatMap((folders, floor) => folders.map((folder) => [folder, floor])))
}
