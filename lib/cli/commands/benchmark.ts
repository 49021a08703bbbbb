// ft-native benchmark: training steps on an own model, timed: tokens a second, time by phase, memory, the largest batch that
// fits. Writes nothing.
import { pickConfigFlags } from '../../core/config/flags.js'
import type { Command, CommandInput } from '../command.js'
import { configPositional, readConfig, readConfigEntries } from '../config-input.js'
import { ParsedFlags } from '../parsed-flags.js'

const defaultSteps = 5

export const benchmark = {
  positionals: [configPositional],
  flags: () => ({
    steps: { kind: 'integer', group: 'The benchmark', describe: 'Optimizer steps that are timed, after two that are not.', defaultText: String(defaultSteps) },
    ...pickConfigFlags(
      'model', 'dtype', 'device', 'attention', 'init', 'arch', 'load-in-4bit', 'load-in-8bit', 'quant-type', 'double-quant', 'data', 'max-seq-length', 'packing', 'train-on-prompt', 'allow-truncation', 'chat-template', 'on-bad-row', 'method', 'batch-size',
      'gradient-accumulation-steps', 'gradient-checkpointing', 'optimizer', 'seed', 'threads', 'force', 'adapter', 'lora-r', 'lora-alpha', 'lora-dropout', 'target-modules',
    ),
  }),
  examples: [
    'ft-native benchmark --model ./model --max-seq-length 512',
    'ft-native benchmark --model ./model --data ./data.jsonl --packing --batch-size 2 --json',
    'ft-native benchmark config.yaml --method full --steps 10',
  ],
  async run(input, context) {
    const steps = input.flags.integer('steps', { min: 1, max: 100_000 }) ?? defaultSteps
    const randomRows = !readConfigEntries(input).some(({ key, value }) => key.dotted === 'dataset.path' && value !== undefined)
    const { config } = readConfig(randomRows ? withoutData(input) : input)
    context.configureLogging({ level: config.logging.level })
    const { benchmark: measure } = await import('../../trainers/index.js')
    const bar = context.progress({ total: 2 + steps, label: 'measuring', unit: 'steps' })
    try {
      const report = await measure(config, { steps, randomRows, onStep: (done) => bar.update(done) })
      bar.stop()
      context.document(report)
      const { benchmarkText } = await import('../benchmark-view.js')
      context.print(benchmarkText(report))
    } finally {
      bar.stop()
    }
  },
} satisfies Command

/** dataset.path is required of every configuration; random rows take its place and never look at it. */
function withoutData(input: CommandInput): CommandInput {
  return { ...input, flags: new ParsedFlags(new Map([...input.flags.entries(), ['data', '(random rows)']])) }
}
