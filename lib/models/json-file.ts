// JSON files of models, adapters and tokenizers: bounded in size, strict, with errors that name the file.
import fs from 'node:fs/promises'
import { makeError, type ErrorCode } from '../core/errors/index.js'

const maxBytes = 64 * 2 ** 20

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const numberMark = '\u0000number '

// JavaScript writes 1.0 as 1 and 1e-05 as 0.00001; readers with typed fields (transformers' configurations) refuse an integer
// for a float. Numbers that would change travel as strings behind a mark.
function markNumbers(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (token) =>
    token.startsWith('"') || String(Number(token)) === token ? token : JSON.stringify(numberMark + token))
}

/** JSON text of a value that was read with `numbersAsWritten`: every number as it was written. */
export function jsonTextAsWritten(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(/"\\u0000number (-?\d[\d.eE+-]*)"/g, '$1')
}

/** A number that jsonTextAsWritten writes as a float: 6 as 6.0. */
export function floatAsWritten(value: number): string | number {
  return Number.isInteger(value) ? `${numberMark}${value}.0` : value
}

export interface JsonFileOptions {
  /** For jsonTextAsWritten: numbers that JavaScript would write in another way are marked strings. */
  numbersAsWritten?: boolean
}

/** The object in a file. Errors: `code` when it is missing, too large, no JSON or no object. */
export async function readJsonFile(file: string, code: ErrorCode, { numbersAsWritten = false }: JsonFileOptions = {}): Promise<Record<string, unknown>> {
  const refuse = (reason: string, cause?: unknown): never => {
    throw makeError(code, `${file}: ${reason}`, { remedy: 'copy the file again from where it came from', details: { path: file }, cause })
  }
  let text: string
  try {
    const { size } = await fs.stat(file)
    if (size > maxBytes) return refuse(`${size} bytes are too many for this file`)
    text = await fs.readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'errno' in error) return refuse(error.message, error)
    throw error
  }
  let value: unknown
  try {
    value = JSON.parse(text)
    if (numbersAsWritten) value = JSON.parse(markNumbers(text))
  } catch (error) {
    return refuse(`not valid JSON: ${error instanceof Error ? error.message : String(error)}`, error)
  }
  return isRecord(value) ? value : refuse('expected a JSON object')
}
