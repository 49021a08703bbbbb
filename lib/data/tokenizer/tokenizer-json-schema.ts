// The schema of a tokenizer.json, all of it but the vocabulary. Format: https://huggingface.co/docs/tokenizers, version 1.0.
import type { z } from 'zod'
import { lazily, type Zod } from '../../core/zod.js'
import { findCharsmapFault } from './charsmap.js'
import { checkPattern } from './pattern-check.js'

/** What several components share. */
function parts(z: Zod) {
  const flag = z.boolean().nullish()
  const character = z.string().refine((text) => [...text].length === 1, 'expected one character')
  const prependScheme = z.enum(['always', 'never', 'first']).optional()
  return {
    flag,
    character,
    smallCount: z.int().min(0).max(1_000_000),
    pattern: z.union([
      z.strictObject({ String: z.string().min(1) }),
      z.strictObject({
        Regex: z.string().min(1).superRefine((source, context) => {
          const { problem } = checkPattern(source)
          if (problem !== undefined) context.addIssue({ code: 'custom', message: `the pattern is refused: ${problem}` })
        }),
      }),
    ]),
    metaspace: z.object({ type: z.literal('Metaspace'), replacement: character, prepend_scheme: prependScheme, split: flag, add_prefix_space: flag, str_rep: z.string().optional() }),
    byteLevel: z.object({ type: z.literal('ByteLevel'), add_prefix_space: flag, trim_offsets: flag, use_regex: flag }),
    empty: (type: string): z.ZodObject => z.object({ type: z.literal(type) }),
  }
}

type Parts = ReturnType<typeof parts>

function normalizerSchema(z: Zod, { flag, pattern, empty }: Parts): z.ZodType {
  const charsmap = z.base64().superRefine((base64, context) => {
    const fault = findCharsmapFault(base64)
    if (fault !== null) context.addIssue({ code: 'custom', message: `the map is refused: ${fault}` })
  })
  const normalizer: z.ZodType = z.lazy(() => z.discriminatedUnion('type', [
    z.object({ type: z.literal('BertNormalizer'), clean_text: z.boolean(), handle_chinese_chars: z.boolean(), strip_accents: flag, lowercase: z.boolean() }),
    z.object({ type: z.literal('Strip'), strip_left: z.boolean(), strip_right: z.boolean() }),
    empty('StripAccents'), empty('NFC'), empty('NFD'), empty('NFKC'), empty('NFKD'), empty('Lowercase'), empty('Nmt'),
    z.object({ type: z.literal('ByteLevel') }),
    z.object({ type: z.literal('Precompiled'), precompiled_charsmap: charsmap }),
    z.object({ type: z.literal('Replace'), pattern, content: z.string() }),
    z.object({ type: z.literal('Prepend'), prepend: z.string() }),
    z.object({ type: z.literal('Sequence'), normalizers: z.array(normalizer) }),
  ]))
  return normalizer
}

function preTokenizerSchema(z: Zod, { character, pattern, metaspace, byteLevel, empty }: Parts): z.ZodType {
  const behavior = z.enum(['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'])
  const preTokenizer: z.ZodType = z.lazy(() => z.discriminatedUnion('type', [
    empty('BertPreTokenizer'), empty('Whitespace'), empty('WhitespaceSplit'), empty('UnicodeScripts'),
    byteLevel, metaspace,
    z.object({ type: z.literal('CharDelimiterSplit'), delimiter: character }),
    z.object({ type: z.literal('Punctuation'), behavior: behavior.optional() }),
    z.object({ type: z.literal('Split'), pattern, behavior, invert: z.boolean() }),
    z.object({ type: z.literal('Digits'), individual_digits: z.boolean() }),
    z.object({ type: z.literal('FixedLength'), length: z.int().min(1).max(1_000_000) }),
    z.object({ type: z.literal('Sequence'), pretokenizers: z.array(preTokenizer) }),
  ]))
  return preTokenizer
}

function templateSchema(z: Zod, { smallCount }: Parts) {
  const piece = z.union([
    z.strictObject({ SpecialToken: z.object({ id: z.string(), type_id: smallCount }) }),
    z.strictObject({ Sequence: z.object({ id: z.enum(['A', 'B']), type_id: smallCount }) }),
  ])
  return z.object({
    type: z.literal('TemplateProcessing'),
    single: z.array(piece),
    pair: z.array(piece),
    special_tokens: z.record(z.string(), z.object({ id: z.string(), ids: z.array(z.int().nonnegative()).min(1), tokens: z.array(z.string()).min(1) })),
  }).superRefine(({ single, pair, special_tokens: known }, context) => {
    const missing = [...single, ...pair].find((part) => 'SpecialToken' in part && !Object.values(known).some((token) => token.id === part.SpecialToken.id))
    if (missing !== undefined) context.addIssue({ code: 'custom', message: 'the template names a token that special_tokens does not have' })
    const uneven = Object.entries(known).some(([name, token]) => token.ids.length !== token.tokens.length || token.id !== name)
    if (uneven) context.addIssue({ code: 'custom', message: 'special_tokens does not have one name an id' })
    if (!single.some((part) => 'Sequence' in part && part.Sequence.id === 'A')) context.addIssue({ code: 'custom', message: 'the template leaves the text out' })
  })
}

function postProcessorSchema(z: Zod, shared: Parts): z.ZodType {
  const { flag, byteLevel } = shared
  const tokenAndId = z.tuple([z.string(), z.int().nonnegative()])
  const template = templateSchema(z, shared)
  const postProcessor: z.ZodType = z.lazy(() => z.union([
    z.object({ type: z.literal('RobertaProcessing'), sep: tokenAndId, cls: tokenAndId, trim_offsets: flag, add_prefix_space: flag }),
    z.object({ type: z.literal('BertProcessing'), sep: tokenAndId, cls: tokenAndId }),
    byteLevel, template,
    z.object({ type: z.literal('Sequence'), processors: z.array(postProcessor) }),
  ]))
  return postProcessor
}

function decoderSchema(z: Zod, { character, smallCount, pattern, metaspace, byteLevel, empty }: Parts): z.ZodType {
  const decoder: z.ZodType = z.lazy(() => z.discriminatedUnion('type', [
    byteLevel, metaspace, empty('Fuse'), empty('ByteFallback'),
    z.object({ type: z.literal('BPEDecoder'), suffix: z.string() }),
    z.object({ type: z.literal('WordPiece'), prefix: z.string(), cleanup: z.boolean() }),
    z.object({ type: z.literal('CTC'), pad_token: z.string(), word_delimiter_token: z.string(), cleanup: z.boolean() }),
    z.object({ type: z.literal('Replace'), pattern, content: z.string() }),
    // Characters cut from the end of a token that is shorter are more than it has: the library ends the process.
    z.object({ type: z.literal('Strip'), content: character, start: smallCount, stop: z.literal(0) }),
    z.object({ type: z.literal('Sequence'), decoders: z.array(decoder) }),
  ]))
  return decoder
}

function addedTokenSchema(z: Zod) {
  return z.object({
    id: z.int().min(0).max(0xffff_ffff), content: z.string().min(1), special: z.boolean().default(false),
    lstrip: z.boolean().default(false), rstrip: z.boolean().default(false), single_word: z.boolean().default(false), normalized: z.boolean().default(true),
  })
}

/** The small fields of the model; its vocabulary and merges are checked by hand. */
function modelFieldsSchema(z: Zod, { flag, smallCount }: Parts) {
  const text = z.string().nullish()
  return z.looseObject({
    dropout: z.number().min(0).max(1).nullish(),
    unk_token: text,
    unk_id: smallCount.nullish(),
    continuing_subword_prefix: text,
    end_of_word_suffix: text,
    fuse_unk: flag,
    byte_fallback: flag,
    ignore_merges: flag,
    max_input_chars_per_word: smallCount.nullish(),
  })
}

export const tokenizerJsonSchemas = lazily((z) => {
  const shared = parts(z)
  const file = z.looseObject({
    version: z.literal('1.0').optional(),
    added_tokens: z.array(addedTokenSchema(z)).default([]),
    normalizer: normalizerSchema(z, shared).nullish(),
    pre_tokenizer: preTokenizerSchema(z, shared).nullish(),
    post_processor: postProcessorSchema(z, shared).nullish(),
    decoder: decoderSchema(z, shared).nullish(),
  })
  return { file, modelFields: modelFieldsSchema(z, shared) }
})
