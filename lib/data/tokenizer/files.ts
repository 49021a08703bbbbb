// The tokenizer files of a model folder, read and checked: which vocabulary there is, the named tokens,
// added tokens, chat templates. The vocabulary itself is read by hf.ts or sentencepiece.ts.
import { readdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import type { z } from 'zod'
import { fail } from '../../core/errors/index.js'
import { lazily } from '../../core/zod.js'

/** A token that is matched in text before the model sees it. Flags as in tokenizers' AddedToken. */
export interface AddedToken {
  content: string
  /** A control token: text that is not trusted never becomes it, and decoding can leave it out. */
  special: boolean
  lstrip: boolean
  rstrip: boolean
  singleWord: boolean
  normalized: boolean
}

export interface ChatTemplates {
  default?: string
  /** For conversations with tools, where it differs. */
  toolUse?: string
}

export interface TokenizerFiles {
  folder: string
  /** Absolute paths. */
  tokenizerJson?: string
  sentencepieceModel?: string
  /** Why neither is set. */
  missing?: string
  /** "<s>" … by role: bos_token, eos_token, pad_token, unk_token, and the rarer ones. */
  named: Readonly<Partial<Record<NamedToken, string>>>
  /** Tokens the configuration adds, by id; id null where it does not say. */
  added: readonly { id: number | null; token: AddedToken }[]
  /** For tokenizer.model; a tokenizer.json has its own post-processor, and these are ignored, as transformers does. */
  addBosToken?: boolean
  addEosToken?: boolean
  /** SentencePiece: true puts a space before every piece of text between added tokens, false before the first only. */
  legacy: boolean
  templates: ChatTemplates
  /** Of generation_config.json, else config.json. */
  generationEosIds: readonly number[]
  /** Of config.json. */
  modelVocabSize?: number
  /** Everything a saved model needs beside its weights; absolute paths. */
  all: readonly string[]
}

const namedTokens = ['bos_token', 'eos_token', 'pad_token', 'unk_token', 'sep_token', 'cls_token', 'mask_token'] as const
export type NamedToken = (typeof namedTokens)[number]

const savedFiles = [
  'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'tokenizer.model',
  'spiece.model', 'vocab.json', 'merges.txt', 'chat_template.jinja', 'chat_template.json',
] as const
const sentencepieceNames = ['tokenizer.model', 'spiece.model', 'sentencepiece.bpe.model'] as const
const maxFileBytes = 1 << 29

const schemas = lazily((z) => {
  const tokenObject = z.looseObject({
    content: z.string(),
    special: z.boolean().optional(),
    lstrip: z.boolean().optional(),
    rstrip: z.boolean().optional(),
    single_word: z.boolean().optional(),
    normalized: z.boolean().optional(),
  })
  const tokenValue = z.union([z.string(), tokenObject]).nullish()
  const tokenList = z.union([z.array(z.union([z.string(), tokenObject])), z.record(z.string(), z.union([z.string(), tokenObject]))]).nullish()
  const namedShape = Object.fromEntries(namedTokens.map((name) => [name, tokenValue])) as Record<NamedToken, typeof tokenValue>
  const namedTemplate = z.looseObject({ name: z.string(), template: z.string() })

  const config = z.looseObject({
    ...namedShape,
    additional_special_tokens: tokenList,
    extra_special_tokens: tokenList,
    added_tokens_decoder: z.record(z.string().regex(/^\d{1,9}$/), tokenObject).nullish(),
    add_bos_token: z.boolean().nullish(),
    add_eos_token: z.boolean().nullish(),
    legacy: z.boolean().nullish(),
    chat_template: z.union([z.string(), z.array(namedTemplate), z.record(z.string(), z.string())]).nullish(),
  })
  const specialMap = z.looseObject({ ...namedShape, additional_special_tokens: tokenList })
  const addedTokens = z.record(z.string(), z.int().nonnegative())
  const tokenIds = z.union([z.int().nonnegative(), z.array(z.int().nonnegative())]).nullish()
  const generation = z.looseObject({ eos_token_id: tokenIds })
  const model = z.looseObject({ eos_token_id: tokenIds, vocab_size: z.int().positive().nullish() })
  const templateFile = z.looseObject({ chat_template: z.string() })
  return { tokenObject, tokenValue, config, specialMap, addedTokens, generation, model, templateFile }
})

type Read<Name extends keyof ReturnType<typeof schemas>> = z.infer<ReturnType<typeof schemas>[Name]>
type TokenLike = Read<'tokenValue'>
type TokenObject = Read<'tokenObject'>
type Config = Read<'config'>
type SpecialMap = Read<'specialMap'>

/** Errors: FT_TOKENIZER. */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const entries = await readdir(folder).catch(() => null)
  const present = new Set(entries)
  const at = (name: string): string | undefined => (present.has(name) ? path.resolve(folder, name) : undefined)
  const tokenizerJson = at('tokenizer.json')
  const sentencepieceModel = sentencepieceNames.map(at).find((file) => file !== undefined)
  const read = async <T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    const file = at(name)
    return file === undefined ? undefined : parseJson(file, await readText(file), schema)
  }
  const config = (await read('tokenizer_config.json', schemas().config)) ?? {}
  const special = (await read('special_tokens_map.json', schemas().specialMap)) ?? {}
  const addedIds = (await read('added_tokens.json', schemas().addedTokens)) ?? {}
  const generation = await read('generation_config.json', schemas().generation)
  const model = await readModelConfig(at('config.json'))
  const named = readNamed(config, special)
  return {
    folder,
    tokenizerJson,
    sentencepieceModel,
    missing: (tokenizerJson ?? sentencepieceModel) === undefined ? describeMissing(entries === null, present.has('vocab.json')) : undefined,
    named,
    added: readAdded(config, special, addedIds, named),
    addBosToken: config.add_bos_token ?? undefined,
    addEosToken: config.add_eos_token ?? undefined,
    legacy: config.legacy ?? false,
    templates: await readTemplates(config.chat_template ?? undefined, at),
    generationEosIds: [generation?.eos_token_id ?? model?.eos_token_id ?? []].flat(),
    modelVocabSize: model?.vocab_size ?? undefined,
    all: savedFiles.map(at).filter((file) => file !== undefined),
  }
}

/** What is wrong with config.json is the model loader's to say. */
async function readModelConfig(file: string | undefined): Promise<Read<'model'> | undefined> {
  if (file === undefined) return undefined
  try {
    return parseJson(file, await readText(file), schemas().model)
  } catch {
    return undefined
  }
}

function describeMissing(unreadable: boolean, hasVocab: boolean): string {
  if (unreadable) return 'the folder cannot be read'
  return hasVocab ? 'it has vocab.json, but not the tokenizer.json that is read here' : 'it has neither tokenizer.json nor tokenizer.model'
}

/** Whole file as text. Errors: FT_TOKENIZER. */
export async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > maxFileBytes) fail('FT_TOKENIZER', `${file} has ${size} bytes, more than any tokenizer file`, { details: { path: file } })
    const bytes = await readFile(file)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    if (error instanceof TypeError) fail('FT_TOKENIZER', `${file} is not UTF-8 text`, { details: { path: file }, cause: error })
    if (error instanceof Error && typeof Reflect.get(error, 'errno') === 'number') {
      fail('FT_TOKENIZER', `cannot read ${file}: ${error.message}`, { remedy: 'check its permissions', details: { path: file }, cause: error })
    }
    throw error
  }
}

/** JSON of a known shape. Errors: FT_TOKENIZER with the path of the field. */
export function parseJson<T>(file: string, text: string, schema: z.ZodType<T>): T {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    return fail('FT_TOKENIZER', `${file} is not valid JSON`, { remedy: 'download it again', details: { path: file }, cause: error })
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const field = issue?.path.join('.') ?? ''
  return fail('FT_TOKENIZER', `${file}${field === '' ? '' : `, ${field}`}: ${issue?.message ?? 'unexpected content'}`, {
    remedy: 'the file is damaged or of an unknown version: download it again',
    details: { path: file, field },
  })
}

function contentOf(token: TokenLike): string | undefined {
  const content = typeof token === 'string' ? token : token?.content
  return content === undefined || content === '' ? undefined : content
}

function readNamed(config: Config, special: SpecialMap): Partial<Record<NamedToken, string>> {
  const named: Partial<Record<NamedToken, string>> = {}
  for (const name of namedTokens) {
    // An explicit null in tokenizer_config.json means "none", whatever the older file says.
    const content = contentOf(config[name] === undefined ? special[name] : config[name])
    if (content !== undefined) named[name] = content
  }
  return named
}

function toAdded(token: string | TokenObject, special: boolean): AddedToken {
  const flags: Partial<TokenObject> = typeof token === 'string' ? {} : token
  return {
    content: typeof token === 'string' ? token : token.content,
    special,
    lstrip: flags.lstrip ?? false,
    rstrip: flags.rstrip ?? false,
    singleWord: flags.single_word ?? false,
    normalized: flags.normalized ?? !special,
  }
}

/** Every token the configuration names; the first mention of a text wins, named tokens are always special. */
function readAdded(config: Config, special: SpecialMap, ids: Record<string, number>, named: Partial<Record<NamedToken, string>>): { id: number | null; token: AddedToken }[] {
  const controls = new Set<string>(Object.values(named))
  const lists = [config.additional_special_tokens, config.extra_special_tokens, special.additional_special_tokens]
  const extra = lists.flatMap((list) => Object.values(list ?? {}))
  for (const token of extra) controls.add(typeof token === 'string' ? token : token.content)
  const found = new Map<string, { id: number | null; token: AddedToken }>()
  const add = (id: number | null, token: AddedToken): void => {
    if (token.content !== '' && !found.has(token.content)) found.set(token.content, { id, token })
  }
  for (const [id, token] of Object.entries(config.added_tokens_decoder ?? {})) {
    add(Number(id), toAdded(token, token.special === true || controls.has(token.content)))
  }
  for (const [content, id] of Object.entries(ids)) add(id, toAdded(content, controls.has(content)))
  for (const name of namedTokens) {
    const token = config[name] ?? special[name]
    if (token && named[name] !== undefined) add(null, toAdded(token, true))
  }
  for (const token of extra) add(null, toAdded(token, true))
  return [...found.values()]
}

async function readTemplates(inConfig: Config['chat_template'], at: (name: string) => string | undefined): Promise<ChatTemplates> {
  const jinja = at('chat_template.jinja')
  if (jinja !== undefined) return { default: await readText(jinja) }
  const json = at('chat_template.json')
  if (json !== undefined) return { default: parseJson(json, await readText(json), schemas().templateFile).chat_template }
  if (typeof inConfig === 'string') return { default: inConfig }
  const byName = new Map(Array.isArray(inConfig) ? inConfig.map((entry) => [entry.name, entry.template]) : Object.entries(inConfig ?? {}))
  const only = byName.size === 1 ? [...byName.values()][0] : undefined
  return { default: byName.get('default') ?? only, toolUse: byName.get('tool_use') }
}
