// ft-native merge: folds an adapter into its base, as a model folder that loads like any other. The new folder is made
// under a temporary name, checked, and renamed: it is there as a whole or not at all.
import { inGroup, pickConfigFlags } from '../../core/config/flags.js'
import { fail } from '../../core/errors/index.js'
import type { Command } from '../command.js'
import { quantizationFlags, quantizationOf } from '../quantization-flags.js'

const dtypes = ['bf16', 'fp16', 'fp32'] as const
const group = 'The merge'

export const merge = {
  flags: () => ({
    model: { kind: 'string', group, valueName: '<folder>', describe: 'The base model.', defaultText: "what the adapter's configuration names" },
    adapter: { kind: 'string', group, valueName: '<folder|name>', describe: 'PEFT adapter: a folder, or a name on the Hugging Face hub.' },
    output: { kind: 'string', group, valueName: '<folder>', describe: 'Where the merged model goes; must be empty or absent.' },
    dtype: { kind: 'choice', group, choices: dtypes, describe: 'Type of the merged weights.', defaultText: 'each tensor keeps its own' },
    ...inGroup(group, pickConfigFlags('device', 'arch', ...quantizationFlags)),
    overwrite: { kind: 'boolean', group, describe: 'Replace the model that the output folder holds.' },
    verify: { kind: 'boolean', group, describe: 'Compare the result with base and adapter.', describeNo: 'Do not compare the result with base and adapter: half the time, no model in memory.' },
  }),
  examples: ['ft-native merge --model ./model --adapter ./output --output ./merged', 'ft-native merge --model ./model --adapter ./qlora-output --load-in-4bit --output ./merged', 'ft-native merge --adapter ./output --output ./merged --dtype bf16'],
  handlesSignals: true,
  async run({ flags }, context) {
    const adapter = flags.text('adapter') ?? fail('FT_USAGE', 'no adapter was named', { remedy: 'ft-native merge --adapter <folder> --output <folder>' })
    const output = flags.text('output') ?? fail('FT_USAGE', 'no output folder was named', { remedy: 'ft-native merge --adapter <folder> --output <folder>' })
    const dtype = flags.choice('dtype', dtypes)
    const [{ mergeInto }, { byteProgress }] = [await import('../merge-folder.js'), await import('../byte-progress.js')]
    const progress = byteProgress(context, 'merging')
    try {
      const result = await mergeInto({
        model: flags.text('model'),
        arch: flags.text('arch'),
        adapter,
        output,
        dtype,
        quantization: quantizationOf(flags),
        device: flags.text('device') ?? 'auto',
        overwrite: flags.boolean('overwrite') ?? false,
        verify: flags.boolean('verify') ?? true,
        signal: context.signal,
        onProgress: progress.update,
      })
      progress.stop()
      context.document(result)
      context.print(`merged ${result.merged_modules} modules of ${result.adapter} into ${result.model}`)
      if (result.drift !== null) {
        const { top1_agreement: top1, mean_kl: kl, positions } = result.drift
        context.print(`checked on ${positions} positions against base and adapter: top-1 agreement ${(100 * top1).toFixed(1)} %, mean KL ${kl.toPrecision(2)}`)
      }
      context.print(`the model is in ${result.output}`)
    } finally {
      progress.stop()
    }
  },
} satisfies Command
