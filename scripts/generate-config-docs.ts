// Writes docs/configuration.md from the table of keys. `--check` writes nothing and exits 1 when the
// file is not current.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { configurationPage } from './support/configuration-page.js'
import { checkOrWrite } from './support/check-or-write.mjs'

checkOrWrite(path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../docs/configuration.md'), configurationPage())
