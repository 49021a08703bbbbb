// Removes what the build makes: build/ and dist/. The cached LibTorch stays.
import { rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..')
for (const folder of ['build', 'dist']) rmSync(path.join(root, folder), { recursive: true, force: true })
