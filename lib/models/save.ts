// A whole model as a folder that transformers loads: weights from the engine; config.json, generation_config.json
// and tokenizer files from the folder it was loaded from. Everything is flushed to disk.
import path from 'node:path'
import { torchDtypes } from '../core/dtype.js'
import { makeError } from '../core/errors/index.js'
import { copyFileSynced, makeFolder, pathKind, writeFileSynced } from '../utils/fs.js'
import type { NativeDtype } from '../native/binding.js'
import { floatAsWritten, isRecord, jsonTextAsWritten, readJsonFile } from './json-file.js'
import type { Model } from './model.js'

export interface SaveModelOptions {
  /** Default 5e9, as transformers. */
  maxShardBytes?: number
  /** Of the weights; default: what the model computes in. */
  dtype?: NativeDtype
}

/** Files beside the weights that belong to a model; tokenizers and chat templates go along. */
const companionFiles = [
  'generation_config.json', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json', 'tokenizer.model',
  'spiece.model', 'sentencepiece.bpe.model', 'vocab.json', 'merges.txt', 'chat_template.jinja', 'chat_template.json',
] as const

const defaultShardBytes = 5_000_000_000

/** Writes into `folder`, made when it is not there. Errors: FT_STORAGE. */
export async function saveModelFolder(model: Model, folder: string, options: SaveModelOptions = {}): Promise<void> {
  await refuseSameFolder(model.folder, folder)
  await makeFolder(folder)
  const dtype = options.dtype ?? model.info.dtype
  const quantization = await savedQuantization(model)
  await model.native.saveWeights(folder, { maxShardBytes: options.maxShardBytes ?? defaultShardBytes, dtype })
  await writeCompanions(model.folder, folder, { dtype, quantization, architecture: model.info.architecture, tieWordEmbeddings: model.info.tieWordEmbeddings, textPart: model.info.textPartOf === '' ? undefined : model.info.modelType })
}

/** As transformers writes a BitsAndBytesConfig; the engine has refused what is no bitsandbytes scheme. */
async function savedQuantization({ info, quantization, folder }: Model): Promise<Record<string, unknown> | 'kept' | undefined> {
  const { quantization: scheme } = info
  if (scheme === null) return undefined
  const { quantization_config: stored } = await readJsonFile(path.join(folder, 'config.json'), 'FT_MODEL_CONFIG')
  if (holdsScheme(stored, scheme)) return 'kept'
  const { bnb4bitUseDoubleQuant = false, llmInt8Threshold = 6, llmInt8SkipModules } = quantization
  const four = scheme !== 'int8'
  return {
    _load_in_4bit: four, _load_in_8bit: !four, bnb_4bit_compute_dtype: torchDtypes[info.dtype], bnb_4bit_quant_storage: 'uint8',
    bnb_4bit_quant_type: four ? scheme : 'fp4', bnb_4bit_use_double_quant: four && bnb4bitUseDoubleQuant, llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false, llm_int8_skip_modules: llmInt8SkipModules ?? null, llm_int8_threshold: floatAsWritten(llmInt8Threshold), load_in_4bit: four, load_in_8bit: !four,
    quant_method: 'bitsandbytes',
  }
}

/** The files hold these weights in as many bits: memory has what they have, whatever was asked for. */
export function holdsScheme(stored: unknown, scheme: string): boolean {
  return isRecord(stored) && stored.quant_method === 'bitsandbytes' && stored[scheme === 'int8' ? 'load_in_8bit' : 'load_in_4bit'] === true
}

/** Writing over the files that are being read would lose both. */
export async function refuseSameFolder(source: string, target: string): Promise<void> {
  if (path.resolve(source) !== path.resolve(target)) return
  throw makeError('FT_OUTPUT_EXISTS', `${target} is the folder of the model itself`, { remedy: 'choose another folder', details: { path: target } })
}

export interface CompanionFacts {
  /** undefined: config.json keeps what it says. */
  dtype?: NativeDtype
  /** Of quantized weights; kept: what config.json says; undefined: they are plain. */
  quantization?: Readonly<Record<string, unknown>> | 'kept'
  /** The class that transformers builds, where config.json does not say. */
  architecture: string
  tieWordEmbeddings: boolean
  /** The head was tied, and no longer is: config.json says so. */
  headParted?: boolean
  /** model_type, where the weights are the text part of another model: they become a model by themselves. */
  textPart?: string
}

/** config.json and the other small files of a model. */
export async function writeCompanions(source: string, folder: string, facts: CompanionFacts): Promise<void> {
  const config = await readJsonFile(path.join(source, 'config.json'), 'FT_MODEL_CONFIG', { numbersAsWritten: true })
  await writeFileSynced(path.join(folder, 'config.json'), `${jsonTextAsWritten(configFor(config, facts))}\n`)
  for (const name of companionFiles) {
    const file = path.join(source, name)
    if ((await pathKind(file)) === 'file') await copyFileSynced(file, path.join(folder, name))
  }
}

/** The config of a model whose weights are now in `dtype`. */
export function configFor(config: Readonly<Record<string, unknown>>, { dtype, quantization, architecture, tieWordEmbeddings, headParted = false, textPart }: CompanionFacts): Record<string, unknown> {
  const result: Record<string, unknown> = textPart === undefined ? { ...config } : { ...(config.text_config as Record<string, unknown>), model_type: textPart, architectures: [architecture] }
  if (result.architectures === undefined) result.architectures = [architecture]
  if (dtype !== undefined) {
    const name = torchDtypes[dtype]
    // transformers 5 writes `dtype`, 4 `torch_dtype`; each reads both. Keep the one that is there.
    if ('dtype' in result || !('torch_dtype' in result)) result.dtype = name
    if ('torch_dtype' in result) result.torch_dtype = name
  }
  // Inside of the larger model nothing scaled or capped its logits.
  if (textPart !== undefined && 'logit_scale' in result) result.logit_scale = floatAsWritten(1)
  if (textPart !== undefined && 'final_logit_softcapping' in result) result.final_logit_softcapping = null
  if (result.tie_word_embeddings !== tieWordEmbeddings && (result.tie_word_embeddings !== undefined || tieWordEmbeddings || headParted)) result.tie_word_embeddings = tieWordEmbeddings
  delete result._name_or_path
  if (quantization === undefined) delete result.quantization_config
  else if (quantization !== 'kept') result.quantization_config = quantization
  return result
}
