// Writes docs/config.schema.json, the JSON Schema of a configuration file, from the table of keys.
// `--check` writes nothing and exits 1 when the file is not current.
import { configJsonSchema, schemaPath } from '../lib/core/config/index.js'
import { checkOrWrite } from './support/check-or-write.mjs'

checkOrWrite(schemaPath, `${JSON.stringify(configJsonSchema(), null, 2)}\n`)
