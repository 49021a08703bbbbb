// ft-native inspect: what a model folder, an adapter folder or a data file holds, without loading weights or training.
import { inGroup, pickConfigFlags } from '../../core/config/flags.js'
import { fail } from '../../core/errors/index.js'
import type { Command } from '../command.js'

const kinds = ['model', 'adapter', 'data'] as const

/** What training is told about data, and what of it shows here. */
const dataFlags = [
  'max-seq-length', 'overflow', 'stride', 'train-on', 'train-on-prompt', 'train-on-end-of-turn', 'chat-template', 'columns', 'column-separator', 'template', 'row-schema', 'data-format', 'encoding', 'delimiter', 'sample-by',
  'data-revision', 'data-config', 'train-split', 'max-samples', 'max-row-characters', 'max-unpack-ratio', 'max-unpacked-bytes', 'on-bad-row', 'filter', 'validation-ratio', 'validation-path', 'split', 'split-column', 'stratify-column', 'seed',
] as const

export const inspect = {
  positionals: [
    { name: 'what', describe: 'a model folder, an adapter folder or a data file; or the word model, adapter or data' },
    { name: 'path', describe: 'the folder or file, after that word', optional: true },
  ],
  flags: () => ({
    ...inGroup('Memory of training', pickConfigFlags('method', 'load-in-4bit', 'load-in-8bit', 'double-quant', 'batch-size', 'dtype', 'device', 'arch', 'optimizer', 'gradient-checkpointing', 'offload-layers')),
    ...pickConfigFlags('lora-r', 'target-modules'),
    model: { kind: 'string', group: 'Data', valueName: '<folder>', describe: 'Count tokens with the tokenizer of this model, and show what is learned.' },
    ...pickConfigFlags(...dataFlags),
    example: { kind: 'integer', group: 'Data', describe: 'Which row to show, from 1; 0: none.', defaultText: '1' },
    preview: { kind: 'integer', group: 'Data', describe: 'Show the first so many rows as the model gets them, token by token.' },
    html: { kind: 'string', group: 'Data', valueName: '<file>', describe: 'Also write everything as one page, with --preview rows (50).' },
    'show-removed': { kind: 'boolean', group: 'Data', describe: 'Show the beginning of the first rows that each filter leaves out.' },
    lint: { kind: 'boolean', group: 'Data', describe: 'Look for faults: leakage, duplicates, wrong templates, missing end tokens … Exit code 3 when one is serious.' },
  }),
  examples: [
    'ft-native inspect ./model',
    'ft-native inspect model ./model --lora-r 8 --target-modules q_proj,v_proj',
    'ft-native inspect model ./model --method full --batch-size 2 --max-seq-length 2048',
    'ft-native inspect data ./data.jsonl --model ./model --max-seq-length 512',
    'ft-native inspect data ./data.jsonl --model ./model --preview 3 --html rows.html',
    'ft-native inspect data ./data.jsonl --model ./model --lint',
  ],
  async run(input, context) {
    const { kind, target } = await subject(input.positionals.what ?? '', input.positionals.path)
    switch (kind) {
      case 'model':
        return (await import('../inspect-model.js')).showModel(target, input.flags, context)
      case 'adapter':
        return (await import('../inspect-adapter.js')).showAdapter(target, context)
      case 'data':
        return (await import('../inspect-data.js')).showData(target, input.flags, context)
    }
  },
} satisfies Command

type Kind = (typeof kinds)[number]

/** A word and a path, or a path alone: then the folder or file itself says what it is. */
async function subject(what: string, second: string | undefined): Promise<{ kind: Kind; target: string }> {
  const named = kinds.find((kind) => kind === what)
  if (second !== undefined) {
    if (named === undefined) fail('FT_USAGE', `expected model, adapter or data before ${second}, got "${what}"`, { remedy: 'ft-native inspect [model|adapter|data] <path>' })
    return { kind: named, target: second }
  }
  const { pathKind } = await import('../../utils/fs.js')
  if (named !== undefined && (await pathKind(what)) === null) fail('FT_USAGE', `<path> is missing: which ${named} is meant`, { remedy: `ft-native inspect ${named} <path>` })
  return { kind: await guessKind(what), target: what }
}

async function guessKind(target: string): Promise<Kind> {
  const { pathKind } = await import('../../utils/fs.js')
  const { default: path } = await import('node:path')
  switch (await pathKind(target)) {
    case 'file':
      return /\.safetensors$/.test(target) ? fail('FT_USAGE', `${target} is a weight file`, { remedy: `inspect its folder: ft-native inspect ${path.dirname(target)}` }) : 'data'
    case 'folder': {
      const isAdapter = (await pathKind(path.join(target, 'adapter_config.json'))) === 'file' && (await pathKind(path.join(target, 'config.json'))) === null
      return isAdapter ? 'adapter' : 'model'
    }
    case null: {
      const { isGlob } = await import('../../data/loaders/glob.js')
      if (target === '-' || target.startsWith('hf://') || isGlob(target) || /\.(?:jsonl|ndjson|json|csv|tsv|txt|parquet)(?:\.gz|\.zst)?$/i.test(target)) return 'data'
      return 'model' // a name of the hub, or an error that says what was looked for
    }
  }
}
