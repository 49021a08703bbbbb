// ft-native export: a model folder in another form, made under a temporary name and renamed when it is whole.
import { inGroup, pickConfigFlags } from '../../core/config/flags.js'
import { fail } from '../../core/errors/index.js'
import type { Command } from '../command.js'

const formats = ['bnb-4bit', 'bnb-8bit', 'plain'] as const
const dtypes = ['bf16', 'fp16', 'fp32'] as const
const types = ['nf4', 'fp4'] as const
const group = 'The export'
const usage = 'ft-native export --model <folder> --format bnb-4bit --output <folder>'

export const exportCommand = {
  flags: () => ({
    model: { kind: 'string', group, valueName: '<folder|name>', describe: 'The model to write.' },
    format: { kind: 'choice', group, choices: formats, describe: 'bnb-4bit, bnb-8bit: quantized as transformers and bitsandbytes keep it; plain: quantized weights in 16 bits again.' },
    output: { kind: 'string', group, valueName: '<folder>', describe: 'Where the folder goes; must be empty or absent.' },
    ...inGroup(group, pickConfigFlags('quant-type', 'double-quant', 'arch')),
    dtype: { kind: 'choice', group, choices: dtypes, describe: 'Type of what is not quantized.', defaultText: '16 bits, as the files have them' },
    overwrite: { kind: 'boolean', group, describe: 'Replace the model that the output folder holds.' },
  }),
  examples: [
    'ft-native export --model ./model --format bnb-4bit --double-quant --output ./model-4bit',
    'ft-native export --model ./model-gptq --format plain --output ./model-16bit',
  ],
  handlesSignals: true,
  async run({ flags }, context) {
    const need = (name: string): string => flags.text(name) ?? fail('FT_USAGE', `no --${name} was given`, { remedy: usage })
    const [model, output, arch] = [need('model'), need('output'), flags.text('arch')]
    const format = flags.choice('format', formats) ?? fail('FT_USAGE', 'no --format was given', { remedy: usage })
    const unused = (['quant-type', 'double-quant'] as const).find((name) => format !== 'bnb-4bit' && flags.has(name))
    if (unused !== undefined) fail('FT_INCOMPATIBLE_CONFIG', `--${unused} is of format bnb-4bit, not ${format}`, { remedy: 'leave it out' })
    const [{ exportModel, inspectModel }, { writeModelFolder }, { byteProgress }] = [
      await import('../../models/index.js'), await import('../model-output.js'), await import('../byte-progress.js'),
    ]
    const progress = byteProgress(context, 'exporting')
    try {
      const info = await writeModelFolder({ output, overwrite: flags.boolean('overwrite') ?? false, inputs: [model] }, async (temporary) => {
        await exportModel({
          model, arch, format, output: temporary, dtype: flags.choice('dtype', dtypes), bnb4bitQuantType: flags.choice('quant-type', types),
          bnb4bitUseDoubleQuant: flags.boolean('double-quant'), signal: context.signal, onProgress: progress.update,
        })
        return await inspectModel(temporary, {}, { arch }) // every tensor is there, with its shape
      })
      progress.stop()
      context.document({ output, model, format, quantization: info.quantization, parameters: info.numParameters, weight_bytes: info.weightBytes, files: info.files })
      context.print(`wrote ${model} as ${format} to ${output}: ${(info.weightBytes / 1e6).toFixed(1)} MB of weights`)
    } finally {
      progress.stop()
    }
  },
} satisfies Command
