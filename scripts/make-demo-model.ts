// Makes examples/demo/model: a language model small enough to ship, trained from scratch by this package on Moby-Dick.
//   npx tsx scripts/make-demo-model.ts [--work <folder>] [--epochs <n>] [--threads <n>]
// Tokenizer and config.json are written first, then `train --method full --init random` runs, then the result is
// copied. Some ten minutes on two cores.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { loadModel } from '../lib/index.js'
import { mobyDickParagraphs } from './make-demo/text.js'
import { trainTokenizer } from './make-demo/tokenizer.js'

const root = path.join(import.meta.dirname, '..')
const target = path.join(root, 'examples', 'demo', 'model')
const vocabSize = 2048
const specialTokens = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] as const
const endOfText = vocabSize - 3
const endOfTurn = vocabSize - 1
/** Characters of a training row: paragraphs are joined up to this, longer ones are cut at a sentence. */
const rowLength = 800

const config = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  attention_bias: false,
  attention_dropout: 0,
  bos_token_id: null,
  eos_token_id: endOfText,
  pad_token_id: endOfText,
  head_dim: 32,
  hidden_act: 'silu',
  hidden_size: 192,
  initializer_range: 0.05,
  intermediate_size: 512,
  max_position_embeddings: 512,
  num_attention_heads: 6,
  num_hidden_layers: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  tie_word_embeddings: true,
  torch_dtype: 'bfloat16',
  use_cache: true,
  use_sliding_window: false,
  vocab_size: vocabSize,
}

const generationConfig = { do_sample: false, eos_token_id: [endOfText, endOfTurn], pad_token_id: endOfText }

const tokenizerConfig = {
  add_prefix_space: false,
  bos_token: null,
  chat_template:
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
  clean_up_tokenization_spaces: false,
  eos_token: '<|endoftext|>',
  model_max_length: config.max_position_embeddings,
  pad_token: '<|endoftext|>',
  tokenizer_class: 'PreTrainedTokenizerFast',
  unk_token: null,
}

/** Rows of whole paragraphs, so that an end-of-text token stands where a paragraph ends. */
function rowsOf(paragraphs: readonly string[]): string[] {
  const rows: string[] = []
  let row = ''
  for (const piece of paragraphs.flatMap((paragraph) => sentences(paragraph))) {
    if (row !== '' && row.length + piece.length > rowLength) {
      rows.push(row.trimEnd())
      row = ''
    }
    row += piece
  }
  return row === '' ? rows : [...rows, row.trimEnd()]
}

/** A short paragraph is one piece; a long one falls apart into sentences. The last piece of each ends its line. */
function sentences(paragraph: string): string[] {
  const pieces = paragraph.length <= rowLength / 2 ? [paragraph] : (paragraph.match(/.+?[.!?;]["”']?(?: |$)|.+$/g) ?? [paragraph])
  return pieces.map((piece, index) => (index === pieces.length - 1 ? `${piece}\n` : piece))
}

function writeJson(file: string, value: object): void {
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)
}

/** The trained weights are fp32; half the size is enough. */
async function saveInBfloat16(trained: string, folder: string): Promise<void> {
  const model = await loadModel({ name: trained, dtype: 'bf16', device: 'cpu' })
  await model.save(folder)
  await model.dispose()
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      work: { type: 'string', default: path.join(os.tmpdir(), 'ft-native-demo-model') },
      epochs: { type: 'string', default: '8' },
      'learning-rate': { type: 'string', default: '2e-3' },
      'weight-decay': { type: 'string', default: '0.1' },
      threads: { type: 'string', default: '2' },
    },
  })
  const work = path.resolve(values.work)
  const start = path.join(work, 'start')
  const output = path.join(work, 'trained')
  mkdirSync(start, { recursive: true })
  mkdirSync(target, { recursive: true })

  const rows = rowsOf(mobyDickParagraphs(work))
  const text = path.join(work, 'text.txt')
  const data = path.join(work, 'rows.jsonl')
  writeFileSync(text, rows.join('\n'))
  writeFileSync(data, rows.map((row) => `${JSON.stringify({ text: row })}\n`).join(''))
  writeFileSync(path.join(start, 'tokenizer.json'), `${JSON.stringify(trainTokenizer(text, work, vocabSize, specialTokens))}\n`)
  writeJson(path.join(start, 'tokenizer_config.json'), tokenizerConfig)
  writeJson(path.join(start, 'config.json'), config)
  writeJson(path.join(start, 'generation_config.json'), generationConfig)

  execFileSync(
    process.execPath,
    [
      path.join(root, 'dist', 'cli', 'main.js'), 'train', '--model', start, '--init', 'random', '--method', 'full', '--dtype', 'fp32', '--device', 'cpu',
      '--data', data, '--output', output, '--overwrite', '--max-seq-length', String(config.max_position_embeddings), '--epochs', values.epochs,
      '--batch-size', '4', '--learning-rate', values['learning-rate'], '--weight-decay', values['weight-decay'], '--adam-beta2', '0.95', '--warmup-ratio', '0.03',
      '--validation-ratio', '0.05', '--save-total-limit', '1', '--threads', values.threads, '--seed', '1851',
    ],
    { stdio: 'inherit' },
  )
  const saved = path.join(work, 'bf16')
  rmSync(saved, { recursive: true, force: true })
  await saveInBfloat16(output, saved)
  for (const name of ['config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(path.join(saved, name), path.join(target, name))
  }
  console.log(`${statSync(path.join(target, 'model.safetensors')).size} bytes of weights in ${target}`)
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
