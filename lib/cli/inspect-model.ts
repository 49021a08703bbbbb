// `inspect` of a model folder: config.json and the headers of its weights, what an adapter on it would train, and the memory
// that training takes.
import path from 'node:path'
import { readConfigEntries } from './config-input.js'
import { contextLengthOf, ropeOf } from './context-length.js'
import type { CliContext } from './context.js'
import { inspectModel, memoryOf, memoryRequest, neededBytesOf, type EstimateOptions, type MemoryEstimate, type ModelInspection } from '../models/index.js'
import { readJsonFile } from '../models/json-file.js'
import { nativeBackend } from '../trainers/backend.js'
import { automaticLayers } from '../trainers/memory.js'
import { formatBytes, formatCount } from '../utils/terminal.js'
import type { ParsedFlags } from './parsed-flags.js'

export async function showModel(name: string, flags: ParsedFlags, context: CliContext): Promise<void> {
  const entries = readConfigEntries({ positionals: {}, flags })
  const valueOf = (dotted: string): unknown => entries.find((entry) => entry.key.dotted === dotted)?.value
  const arch = valueOf('model.arch') as string | undefined
  const model = await inspectModel(name, { r: valueOf('lora.r') as number, targetModules: valueOf('lora.target_modules') as string | string[] }, { arch })
  const config = await readJsonFile(path.join(model.folder, 'config.json'), 'FT_MODEL_CONFIG')
  const asked = trainingOf(valueOf)
  const memory = await memoryFor({ ...asked, name, arch }, valueOf('training.gradient_checkpointing') === 'auto')
  context.document({ ...documentOf(model, config), memory: memoryDocument(asked, memory) })
  context.print([textOf(model, config), '', memoryText(asked, memory)].join('\n'))
}

interface Memory extends MemoryEstimate {
  neededBytes: number
  availableBytes: number
}

/** As a run that begins now would decide it. */
async function memoryFor(options: EstimateOptions, automatic: boolean): Promise<Memory> {
  const request = await memoryRequest(options)
  const of = (checkpointedLayers: number): MemoryEstimate & { neededBytes: number } => {
    const estimate = memoryOf({ ...request, checkpointedLayers })
    return { ...estimate, neededBytes: neededBytesOf(estimate) }
  }
  const availableBytes = nativeBackend.memoryAvailable(request.device)
  return { ...of(automatic ? automaticLayers(of, availableBytes) : request.checkpointedLayers), availableBytes }
}

type Training = Required<Pick<EstimateOptions, 'method' | 'batchSize' | 'maxSeqLength' | 'optimizer'>> & Omit<EstimateOptions, 'name'>

const methods = ['lora', 'qlora', 'full'] as const

/** The training that memory is estimated for. */
function trainingOf(valueOf: (dotted: string) => unknown): Training {
  const checkpointing = valueOf('training.gradient_checkpointing') as boolean | number | 'auto'
  const offload = valueOf('model.offload_layers') as number | 'auto'
  return {
    method: methods.find((method) => method === valueOf('training.method')) ?? 'lora',
    loadIn4bit: valueOf('model.load_in_4bit') === true,
    loadIn8bit: valueOf('model.load_in_8bit') === true,
    bnb4bitUseDoubleQuant: valueOf('model.bnb_4bit_use_double_quant') === true,
    batchSize: valueOf('training.batch_size') as number,
    maxSeqLength: valueOf('tokenization.max_seq_length') as number,
    dtype: valueOf('model.dtype') as EstimateOptions['dtype'],
    device: valueOf('model.device') as string,
    optimizer: valueOf('training.optimizer') as string,
    gradientCheckpointing: checkpointing === 'auto' ? false : checkpointing,
    offloadLayers: offload === 'auto' ? 0 : offload,
    lora: { r: valueOf('lora.r') as number, targetModules: valueOf('lora.target_modules') as string | string[] },
  }
}

function memoryDocument({ method, batchSize, maxSeqLength, optimizer }: Training, memory: Memory): object {
  return {
    method, batch_size: batchSize, max_seq_length: maxSeqLength, optimizer, dtype: memory.dtype, device: memory.device, checkpointed_layers: memory.checkpointedLayers, offloaded_layers: memory.offloadedLayers, offloaded_bytes: memory.offloadedBytes,
    weight_bytes: memory.weightBytes,
    master_bytes: memory.masterBytes,
    gradient_bytes: memory.gradientBytes,
    optimizer_bytes: memory.optimizerBytes,
    activation_bytes: memory.activationBytes,
    loss_bytes: memory.lossBytes,
    workspace_bytes: memory.workspaceBytes,
    fragmentation_bytes: memory.fragmentationBytes,
    runtime_bytes: memory.runtimeBytes,
    total_bytes: memory.totalBytes,
    available_bytes: memory.availableBytes,
    fits: memory.neededBytes <= memory.availableBytes,
  }
}

function memoryText({ method, batchSize, maxSeqLength, optimizer }: Training, memory: Memory): string {
  const layers = memory.checkpointedLayers === 0 ? '' : `, ${memory.checkpointedLayers} of ${memory.layers} layers computed again`
  const offloaded = memory.offloadedLayers === 0 ? '' : `, ${memory.offloadedLayers} of ${memory.layers} layers offloaded (${formatBytes(memory.offloadedBytes)} of the CPU's memory)`
  const moment: [string, string] = memory.lossBytes > memory.workspaceBytes ? ['logits', formatBytes(memory.lossBytes)] : ['workspace', formatBytes(memory.workspaceBytes)]
  return [
    `Training takes about ${formatBytes(memory.totalBytes)}: ${method}, ${memory.dtype} on ${memory.device}, ${batchSize} rows of ${maxSeqLength} tokens, ${optimizer}${layers}${offloaded}`,
    facts([
      ['  weights', formatBytes(memory.weightBytes)],
      ['  masters', `${formatBytes(memory.masterBytes)} in fp32, and copies`],
      ['  gradients', formatBytes(memory.gradientBytes)],
      ['  optimizer', formatBytes(memory.optimizerBytes)],
      ['  activations', formatBytes(memory.activationBytes)],
      [`  ${moment[0]}`, moment[1]],
      ['  allocator', formatBytes(memory.fragmentationBytes)],
      ['  runtime', formatBytes(memory.runtimeBytes)],
    ]),
    memory.neededBytes <= memory.availableBytes
      ? `${formatBytes(memory.availableBytes)} are free: it fits`
      : `${formatBytes(memory.availableBytes)} are free: it does not fit. Lower --batch-size or --max-seq-length, or use --method qlora`,
  ].join('\n')
}

function documentOf(model: ModelInspection, config: Readonly<Record<string, unknown>>): object {
  return {
    kind: 'model',
    name: model.name,
    folder: model.folder,
    model_type: model.modelType,
    parameters: model.numParameters,
    weight_bytes: model.weightBytes,
    files: model.files,
    torch_dtype: model.torchDtype,
    quantization: model.quantization,
    vocab_size: model.vocabSize,
    hidden_size: model.hiddenSize,
    intermediate_size: model.intermediateSize,
    num_hidden_layers: model.numHiddenLayers,
    num_attention_heads: model.numAttentionHeads,
    num_key_value_heads: model.numKeyValueHeads,
    head_dim: model.headDim,
    max_position_embeddings: model.maxPositionEmbeddings,
    sliding_window: model.slidingWindow > 0 ? model.slidingWindow : null,
    rope: { type: model.ropeType, ...ropeOf(config) },
    tie_word_embeddings: model.tieWordEmbeddings,
    bos_token_id: model.bosTokenId,
    eos_token_ids: model.eosTokenIds,
    pad_token_id: model.padTokenId,
    target_modules: { names: model.targetModuleNames, all_linear: model.allLinear },
    lora: {
      r: model.lora.r,
      target_modules: model.lora.targetModules,
      modules: model.lora.modules,
      trainable_parameters: model.lora.trainableParameters,
      trainable_percent: model.lora.trainablePercent,
    },
  }
}

function textOf(model: ModelInspection, config: Readonly<Record<string, unknown>>): string {
  const rope = ropeOf(config)
  const factor = typeof rope.factor === 'number' ? `, factor ${rope.factor}` : ''
  const theta = typeof rope.rope_theta === 'number' ? `, theta ${rope.rope_theta}` : ''
  const shared = new Set(model.allLinear.map((name) => name.slice(name.lastIndexOf('.') + 1)))
  const targets = typeof model.lora.targetModules === 'string' ? model.lora.targetModules : model.lora.targetModules.join(', ')
  return facts([
    ['model', model.name],
    ['family', model.modelType],
    ['parameters', formatCount(model.numParameters)],
    ['weights', `${formatBytes(model.weightBytes)} in ${model.files.length} file${model.files.length === 1 ? '' : 's'}, ${model.torchDtype || 'dtype not said'}${model.quantization === null ? '' : `, ${model.quantization}`}`],
    ['vocabulary', `${formatCount(model.vocabSize)}, embeddings ${model.tieWordEmbeddings ? 'tied to the output head' : 'and output head apart'}`],
    ['layers', `${model.numHiddenLayers}, hidden ${model.hiddenSize}, intermediate ${model.intermediateSize}`],
    ['heads', `${model.numAttentionHeads} of ${model.headDim}, ${model.numKeyValueHeads} for keys and values`],
    ['context', `${formatCount(contextLengthOf(model.maxPositionEmbeddings, config))} tokens${model.slidingWindow > 0 ? `, window ${formatCount(model.slidingWindow)}` : ''}`],
    ['rope', `${model.ropeType}${theta}${factor}`],
    ['all-linear', `${[...shared].join(', ')} (${model.allLinear.length} modules)`],
    ['LoRA', `r ${model.lora.r} on ${targets}: ${formatCount(model.lora.trainableParameters)} trainable parameters (${model.lora.trainablePercent.toFixed(3)} %)`],
  ])
}

export function facts(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}
