// The model to start from, how it is kept and where it computes.
import { computeDtypes, dtypeNames } from '../../dtype.js'
import { key, optionalKey, requiredKey, type SectionRows } from '../row.js'

const dtypes = ['auto', ...computeDtypes] as const
const attentions = ['auto', 'flash', 'eager'] as const
const inits = ['pretrained', 'random'] as const
const fourBitTypes = ['nf4', 'fp4'] as const

export const model = {
  name: requiredKey({
    kind: 'string', flag: 'model', path: 'or name', valueName: '<folder|name>', aka: ['model', 'model_name', 'model_name_or_path', 'base_model', 'path'],
    schema: (z) => z.string().min(1), expects: 'a model folder or the name of a model',
    describe: 'Model folder (config.json, safetensors weights, tokenizer files), or the name of a model of the Hugging Face hub, which is downloaded into its cache.',
  }),
  dtype: key({
    kind: 'choice', flag: 'dtype', choices: dtypes, default: 'auto', aka: ['torch_dtype', 'bf16', 'fp16', 'precision'],
    schema: (z) => z.enum(dtypes), expects: 'auto, bf16, fp16 or fp32',
    describe: 'Compute type. auto: bf16 where the device has it, else fp32.',
  }),
  device: key({
    kind: 'string', flag: 'device', valueName: 'auto|cpu|cuda[:n]|mps', default: 'auto', aka: ['device_map'],
    schema: (z) => z.string().regex(/^(?:auto|cpu|mps|cuda(?::(?:0|[1-9]\d{0,3}))?)$/), expects: 'auto, cpu, cuda, cuda:<n> or mps',
    describe: 'Where to compute. auto: the first GPU, else the CPU.',
  }),
  attention: key({
    kind: 'choice', flag: 'attention', choices: attentions, default: 'auto', aka: ['attn_implementation', 'flash_attention'],
    schema: (z) => z.enum(attentions), expects: 'auto, flash or eager',
    describe: 'Attention kernel. eager is the plain reference.',
  }),
  init: key({
    kind: 'choice', flag: 'init', choices: inits, default: 'pretrained',
    schema: (z) => z.enum(inits), expects: 'pretrained or random',
    describe: 'random: start from random weights; the folder needs no weight files.',
  }),
  arch: optionalKey({
    kind: 'string', flag: 'arch', valueName: '<model_type>', defaultText: 'what config.json says', aka: ['model_type'],
    schema: (z) => z.string().min(1), expects: 'a model_type that is supported',
    describe: 'Read config.json as that of this family, whatever it calls itself.',
  }),
  offload_layers: key({
    kind: 'integer', flag: 'offload-layers', valueName: 'auto|<n>', default: 'auto', aka: ['cpu_offload', 'offload', 'offload_folder'],
    schema: (z) => z.union([z.literal('auto'), z.int().min(0).max(100_000)]), expects: 'auto or a number of layers',
    describe: 'On a GPU: keep the matrices of so many of the last layers in the memory of the CPU, from where they visit the GPU for each product. auto: those that the GPU has no room for. The numbers stay the same.',
  }),
  load_in_4bit: key({
    kind: 'boolean', flag: 'load-in-4bit', defaultText: 'false (qlora: true)', aka: ['quantization_bit', 'load_4bit', '4bit'],
    default: (read) => read('training.method') === 'qlora',
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep linear weights in 4 bits, quantized while they are read. The output head and embeddings stay as they are.',
  }),
  load_in_8bit: key({
    kind: 'boolean', flag: 'load-in-8bit', default: false, aka: ['load_8bit', '8bit'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep linear weights in 8 bits (LLM.int8), quantized while they are read. The output head and embeddings stay as they are.',
  }),
  bnb_4bit_quant_type: key({
    kind: 'choice', flag: 'quant-type', choices: fourBitTypes, default: 'nf4', aka: ['quant_type', 'quantization_type', 'bnb_quant_type'],
    schema: (z) => z.enum(fourBitTypes), expects: 'nf4 or fp4',
    describe: 'Type of 4-bit weights.',
  }),
  bnb_4bit_use_double_quant: key({
    kind: 'boolean', flag: 'double-quant', default: false, aka: ['double_quantization', 'double_quant', 'use_bnb_nested_quant', 'use_nested_quant'],
    schema: (z) => z.boolean(), expects: 'true or false',
    describe: 'Keep the scales of 4-bit weights in 8 bits too.',
  }),
  bnb_4bit_compute_dtype: optionalKey({
    kind: 'choice', choices: dtypeNames, defaultText: 'model.dtype', aka: ['compute_dtype', 'bnb_compute_dtype'],
    schema: (z) => z.enum(dtypeNames), expects: 'bfloat16, float16 or float32',
    describe: 'Compute type beside 4-bit weights: another name of dtype.',
  }),
  llm_int8_threshold: key({
    kind: 'number', default: 6, defaultText: '6.0',
    schema: (z) => z.number().min(0), expects: 'a number of at least 0',
    describe: 'Inputs of at least this size keep their columns out of the 8-bit product; 0: none do.',
  }),
  llm_int8_skip_modules: optionalKey({
    kind: 'names',
    schema: (z) => z.array(z.string().min(1)), expects: 'a list of module names',
    describe: 'Modules that are not quantized, besides the output head: names, ends of names or patterns.',
  }),
} satisfies SectionRows
