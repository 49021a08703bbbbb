// Checks the floors: a file includes or imports only from its own floor and those below (see docs and
// scripts/floors/rules.mjs). Prints each violation with file and line; exits 1 when there is one.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkNative } from './floors/native.mjs'
import { checkTypeScript } from './floors/typescript.mjs'

const root = path.resolve(process.argv[2] ?? path.join(path.dirname(fileURLToPath(import.meta.url)), '..'))
const { violations, files } = [checkNative(root), checkTypeScript(root)].reduce(
  (sum, part) => ({ violations: [...sum.violations, ...part.violations], files: sum.files + part.files }),
  { violations: [], files: 0 },
)
for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`)
console.log(`${files} files, ${violations.length} floor violations`)
process.exit(violations.length > 0 || files === 0 ? 1 : 0)
