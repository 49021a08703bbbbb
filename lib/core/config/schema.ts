// zod over the table: checks one value, and makes the JSON Schema of a configuration file. zod is loaded
// when the first value is checked.
import type { z } from 'zod'
import { zod } from '../zod.js'
import { sections, sectionTitles, type SectionName } from './keys.js'
import { camelCase, type KeyRow } from './row.js'
import { allKeys, type TableKey } from './table.js'

const schemas = new Map<string, z.ZodType>()

function schemaOf(key: TableKey): z.ZodType {
  let schema = schemas.get(key.dotted)
  if (schema === undefined) {
    schema = key.row.schema(zod())
    schemas.set(key.dotted, schema)
  }
  return schema
}

export type Checked = { ok: true; value: unknown } | { ok: false; at: string; fault?: string }

/** Checks a value against its row. `at`: where inside the value the fault is (".q_proj"), or "". `fault`: what it is, where an entry of a list has it. */
export function checkValue(key: TableKey, value: unknown): Checked {
  const result = schemaOf(key).safeParse(value)
  if (!result.success) {
    const [issue] = result.error.issues
    const path = issue?.path ?? []
    const inEntry = typeof path[0] === 'number' && (path.length > 1 || issue?.code === 'unrecognized_keys')
    return { ok: false, at: path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join(''), ...(inEntry ? { fault: issue?.message } : {}) }
  }
  if (key.row.table !== undefined && typeof result.data === 'string' && !key.row.table.has(result.data)) return { ok: false, at: '' }
  return { ok: true, value: result.data }
}

/** A whole file as a zod object, snake_case; every key may be left out, as flags can give it. */
function fileSchema(): z.ZodType {
  const z = zod()
  const shapes: Record<string, z.ZodType> = { $schema: z.string().optional() }
  for (const section of Object.keys(sections) as SectionName[]) {
    const shape: Record<string, z.ZodType> = {}
    for (const key of allKeys.filter((entry) => entry.section === section)) shape[key.name] = fieldSchema(key)
    shapes[section] = z.strictObject(shape).optional().describe(sectionTitles[section])
  }
  return z.strictObject(shapes)
}

function fieldSchema(key: TableKey): z.ZodType {
  const { row } = key
  const schema = schemaOf(key)
  if (row.default === undefined) return (row.required ? schema.optional() : schema.nullish()).describe(describe(row))
  return (typeof row.default === 'function' ? schema.optional() : schema.default(row.default)).describe(describe(row))
}

function describe(row: KeyRow): string {
  return row.defaultText === undefined ? row.describe : `${row.describe} Default: ${row.defaultText}.`
}

type JsonObject = Record<string, unknown>

/** The JSON Schema (2020-12) of a configuration file, with the names that plugins have registered so far. */
export function configJsonSchema(): JsonObject {
  const schema = zod().toJSONSchema(fileSchema(), { io: 'input' }) as JsonObject
  const properties = schema.properties as Record<string, JsonObject>
  for (const key of allKeys) {
    const section = properties[key.section] as JsonObject & { properties: Record<string, JsonObject> }
    const field = section.properties[key.name] as JsonObject
    if (key.row.table !== undefined) field.enum = key.row.table.list()
    addCamelCase(section, key)
  }
  return { $schema: schema.$schema, title: 'ft-native configuration', ...schema }
}

/** The camelCase spelling is valid too, but editors should offer the snake_case one only: a pattern does that. */
function addCamelCase(section: JsonObject, key: TableKey): void {
  const camel = camelCase(key.name)
  if (camel === key.name) return
  const patterns = (section.patternProperties ??= {}) as JsonObject
  patterns[`^${camel}$`] = { $ref: `#/properties/${key.section}/properties/${key.name}` }
}
