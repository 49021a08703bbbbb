// Where the prompts of `generate` come from: --prompt, --prompt-file, or standard input.
import { readFile } from 'node:fs/promises'
import { fail, makeError } from '../core/errors/index.js'
import type { ParsedFlags } from './parsed-flags.js'

/** A text that the model goes on from, or a conversation that it answers through its chat template. */
export type Prompt = { text: string } | { messages: Message[] }

export interface Message {
  role: string
  content: string
}

export interface PromptSource {
  stdin: NodeJS.ReadStream
}

/** Errors: FT_USAGE when there is none or more than one source, FT_DATASET for a file that cannot be read, FT_DATASET_ROW for a line. */
export async function readPrompts(flags: ParsedFlags, { stdin }: PromptSource): Promise<Prompt[]> {
  const texts = flags.list('prompt')
  const file = flags.text('prompt-file')
  if (texts.length > 0 && file !== undefined) fail('FT_USAGE', '--prompt and --prompt-file contradict each other', { remedy: 'keep one of them' })
  if (texts.length > 0) return texts.map((text) => ({ text }))
  if (file === undefined) return [{ text: await wholeInput(stdin) }]
  const bytes = file === '-' ? await readStream(stdin) : await readPromptFile(file)
  const prompts = parsePrompts(decode(bytes, file), file)
  if (prompts.length === 0) fail('FT_EMPTY_DATASET', `${file} holds no prompt`, { remedy: 'write one prompt a line' })
  return prompts
}

/** Standard input as one prompt, without its last newline. */
async function wholeInput(stdin: NodeJS.ReadStream): Promise<string> {
  if (stdin.isTTY) fail('FT_USAGE', 'no prompt was given', { remedy: 'use --prompt "…", --prompt-file <file>, or write it to standard input' })
  const text = decode(await readStream(stdin), 'standard input').replace(/\r?\n$/, '')
  return text === '' ? fail('FT_USAGE', 'standard input holds no prompt', { remedy: 'use --prompt "…", --prompt-file <file>, or write it to standard input' }) : text
}

const maxBytes = 256 * 2 ** 20

async function readStream(stream: NodeJS.ReadStream): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size > maxBytes) fail('FT_DATASET', 'standard input holds more than 256 MiB', { remedy: 'split the prompts into several runs' })
  }
  return Buffer.concat(chunks)
}

async function readPromptFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw makeError('FT_DATASET', `cannot read the prompts: ${error instanceof Error ? error.message : String(error)}`, {
      remedy: 'check the path given to --prompt-file', details: { path: file }, cause: error,
    })
  }
}

function decode(bytes: Buffer, place: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw makeError('FT_DATASET', `${place === '-' ? 'standard input' : place} is not UTF-8 text`, { remedy: 'save it as UTF-8', cause: error })
  }
}

/** One prompt a line, empty lines left out; a line of a .jsonl file is a text, {"prompt"} or {"messages"}. */
export function parsePrompts(text: string, file: string): Prompt[] {
  const prompts: Prompt[] = []
  const isJson = /\.(?:jsonl|ndjson)$/i.test(file)
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue
    prompts.push(isJson ? parseLine(line, `${file}:${index + 1}`) : { text: line })
  }
  return prompts
}

function parseLine(line: string, place: string): Prompt {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw makeError('FT_DATASET_ROW', `${place}: not valid JSON`, { remedy: 'write one JSON value a line', cause: error })
  }
  if (typeof value === 'string' && value !== '') return { text: value }
  if (typeof value === 'object' && value !== null) {
    const prompt: unknown = Reflect.get(value, 'prompt')
    const messages: unknown = Reflect.get(value, 'messages')
    if (typeof prompt === 'string' && prompt !== '') return { text: prompt }
    if (Array.isArray(messages) && messages.length > 0 && messages.every(isMessage)) return { messages }
  }
  return fail('FT_DATASET_ROW', `${place}: expected a text, {"prompt": "…"} or {"messages": [{"role", "content"}]}`, { remedy: 'give each line one of these shapes' })
}

function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && typeof Reflect.get(value, 'role') === 'string' && typeof Reflect.get(value, 'content') === 'string'
}
