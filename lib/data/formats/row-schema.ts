// dataset.row_schema: a JSON Schema of the user's that every row must fit before it is read; and the schemas of the built-in
// shapes, from which docs/row.schema.json is made. Patterns run without backtracking, as they may come from anywhere.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Ajv as AjvClass, ErrorObject, Options } from 'ajv'
import type * as re2 from 're2js'
import { fail } from '../../core/errors/index.js'
import { zod } from '../../core/zod.js'
import { quotedName } from '../../utils/printable.js'
import type { RowValue } from '../types.js'
import { formats } from './index.js'

export type JsonSchema = Readonly<Record<string, unknown>>

/** null: the row fits; else the path and the reason, never the content. */
export type RowCheck = (row: RowValue) => string | null

/** Drafts by their $schema; without one the newest is meant. */
const drafts: readonly (readonly [RegExp, string])[] = [[/draft-0[67]/, 'ajv'], [/2019-09/, 'ajv/dist/2019.js']]
const newest = 'ajv/dist/2020.js'
const maxSchemaBytes = 1 << 22

/** Errors: FT_INVALID_CONFIG when the file or the schema cannot be used. */
export async function openRowSchema(given: string | JsonSchema): Promise<RowCheck> {
  const schema = typeof given === 'string' ? await readSchema(given) : given
  const where = typeof given === 'string' ? given : 'dataset.row_schema'
  const remedy = 'give a JSON Schema of one row, for example {"type": "object", "required": ["text"]}'
  try {
    // An unknown $ref fails here: nothing is fetched.
    const validate = makeAjv(schema).compile(schema)
    return (row) => (validate(row) === true ? null : describe((validate.errors ?? [])[0]))
  } catch (error) {
    return fail('FT_INVALID_CONFIG', `${where} is no JSON Schema that can be used: ${error instanceof Error ? error.message : String(error)}`, { remedy, cause: error })
  }
}

async function readSchema(file: string): Promise<JsonSchema> {
  const remedy = 'dataset.row_schema names a JSON file, or is the schema itself'
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    return fail('FT_INVALID_CONFIG', `cannot read the row schema ${file}: ${error instanceof Error ? error.message : String(error)}`, { remedy, cause: error })
  }
  if (text.length > maxSchemaBytes) fail('FT_INVALID_CONFIG', `the row schema ${file} is too large`, { remedy })
  try {
    const schema: unknown = JSON.parse(text)
    if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) return schema as JsonSchema
  } catch (error) {
    return fail('FT_INVALID_CONFIG', `the row schema ${file} is not valid JSON`, { remedy, cause: error })
  }
  return fail('FT_INVALID_CONFIG', `the row schema ${file} is not an object`, { remedy })
}

function makeAjv(schema: JsonSchema): AjvClass {
  const require = createRequire(import.meta.url)
  const { RE2JS } = require('re2js') as typeof re2
  const engine = Object.assign((pattern: string) => {
    const compiled = RE2JS.compile(pattern)
    // ajv tells patterns apart by their text.
    return { test: (text: string) => compiled.matcher(text).find(), toString: () => `/${pattern}/` }
  }, { code: 'none' })
  const options: Options = { strict: false, validateFormats: false, logger: false, code: { regExp: engine } }
  const version = typeof schema.$schema === 'string' ? drafts.find(([name]) => name.test(schema.$schema as string))?.[1] : undefined
  const { default: Ajv } = require(version ?? newest) as { default: new (options: Options) => AjvClass }
  return new Ajv(options)
}

/** "messages.0.role: must be string". Names of fields are shown, values are not. */
function describe(error: ErrorObject | undefined): string {
  if (error === undefined) return 'it does not fit dataset.row_schema'
  const path = error.instancePath.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~')).map((part) => (/^[\w-]{1,40}$/.test(part) ? part : quotedName(part))).join('.')
  const { additionalProperty } = error.params as { additionalProperty?: string }
  const named = typeof additionalProperty === 'string' ? `: ${quotedName(additionalProperty)}` : ''
  return `${path === '' ? 'the row' : path}: ${error.message ?? 'does not fit'}${named} (dataset.row_schema)`
}

/** The JSON Schema (2020-12) of a row of any built-in shape, each under its name. */
export function builtInRowSchema(): JsonSchema {
  const entries = [...formats.entries()].map(([name, format]) => {
    const { $schema: _, ...schema } = zod().toJSONSchema(format.schema(), { io: 'input', unrepresentable: 'any' }) as JsonSchema
    return [name, { title: format.shape, ...schema }] as const
  })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A row of training data for ft-native',
    anyOf: entries.map(([name]) => ({ $ref: `#/$defs/${name}` })),
    $defs: Object.fromEntries(entries),
  }
}
