// The version of this package, from its package.json.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

let version: string | undefined

export function packageVersion(): string {
  if (version === undefined) {
    const file = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../package.json')
    version = String((JSON.parse(readFileSync(file, 'utf8')) as { version?: unknown }).version)
  }
  return version
}
