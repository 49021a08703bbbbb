// Writes docs/row.schema.json, the JSON Schema of a row of training data, from the table of row formats.
// `--check` writes nothing and exits 1 when the file is not current.
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { builtInRowSchema } from '../lib/data/formats/row-schema.js'
import { checkOrWrite } from './support/check-or-write.mjs'

const file = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'docs', 'row.schema.json')
checkOrWrite(file, `${JSON.stringify(builtInRowSchema(), null, 2)}\n`)
