// A byte-level BPE tokenizer.json of a chosen size. The trainer of `tokenizers` has no option for the size, but merges
// are learned one after the other: the first ones are the smaller vocabulary.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { BPE, byteLevelAlphabet, byteLevelPreTokenizer, Tokenizer } from 'tokenizers'

interface TokenizerJson {
  model: { merges: [string, string][] }
}

/** @param vocabSize bytes, merges and special tokens together. */
export function trainTokenizer(textFile: string, workFolder: string, vocabSize: number, specialTokens: readonly string[]): object {
  const tokenizer = new Tokenizer(BPE.empty())
  tokenizer.setPreTokenizer(byteLevelPreTokenizer(false, true))
  tokenizer.train([textFile])
  const trained = path.join(workFolder, 'trained-tokenizer.json')
  tokenizer.save(trained)
  const { merges } = (JSON.parse(readFileSync(trained, 'utf8')) as TokenizerJson).model
  const alphabet = byteLevelAlphabet().sort()
  const kept = merges.slice(0, vocabSize - alphabet.length - specialTokens.length)
  const pieces = [...alphabet, ...kept.map(([left, right]) => left + right)]
  if (new Set(pieces).size !== vocabSize - specialTokens.length) throw new Error(`the text gives ${pieces.length} different pieces, ${vocabSize - specialTokens.length} are wanted`)
  return tokenizerJson(pieces, kept, specialTokens)
}

function tokenizerJson(pieces: readonly string[], merges: readonly [string, string][], specialTokens: readonly string[]): object {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specialTokens.map((content, index) => ({
      id: pieces.length + index, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false, byte_fallback: false,
      ignore_merges: false, vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])), merges,
    },
  }
}
