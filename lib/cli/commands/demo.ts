// ft-native demo: the whole thing on data that comes with the package. Trains a small adapter in about a minute, shows
// the loss on rows it never saw, before and after, and lets base and tuned model answer the same prompt.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { ConfigBuilder, type ResolvedConfig } from '../../core/config/index.js'
import { fail } from '../../core/errors/index.js'
import type { EvalEvent } from '../../trainers/events.js'
import { formatSeconds } from '../../utils/terminal.js'
import type { Command, CommandInput } from '../command.js'
import type { CliContext } from '../context.js'
import { runTraining } from './train.js'

// lib/cli/commands and dist/cli/commands lie equally deep in the package.
const assets = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../../examples/demo')
const defaultOutput = './demo-output'
/** Asks for a word that the demo's rows do not define. */
const defaultPrompt = 'Define breakfast:'

export const demo = {
  flags: () => ({
    output: { kind: 'string', group: 'The demo', valueName: '<folder>', describe: 'Where the adapter goes.', defaultText: `${defaultOutput}, replaced each time` },
    prompt: { kind: 'string', group: 'The demo', valueName: '<text>', describe: 'What base and tuned model are asked.', defaultText: defaultPrompt },
    'max-steps': { kind: 'integer', group: 'The demo', describe: 'Stop the training after this many steps.' },
    seed: { kind: 'integer', group: 'The demo', describe: 'Key of every random choice.', defaultText: '42' },
    overwrite: { kind: 'boolean', group: 'The demo', describe: 'Replace the run that --output holds.' },
  }),
  examples: ['ft-native demo', 'ft-native demo --prompt "Define winter:"'],
  handlesSignals: true,
  async run(input, context) {
    const config = demoConfig(input)
    context.configureLogging({ level: 'warn' })
    context.print(`Fine-tuning the language model in ${shown(assets)} with LoRA. It read one old book; now it learns to define words.\n`)
    const losses: EvalEvent[] = []
    const result = await runTraining(config, context, { evaluateFirst: true, alwaysProgress: true, onEvent: (event) => void (event.event === 'eval' && losses.push(event)) })
    if (context.signal.aborted) return
    context.print(`${result.steps} steps on ${result.tokens} tokens in ${formatSeconds(result.trainSeconds)}`)
    await showResult(config, context, input.flags.text('prompt') ?? defaultPrompt, losses)
  },
} satisfies Command

function demoConfig(input: CommandInput): ResolvedConfig {
  const [model, data] = [path.join(assets, 'model'), path.join(assets, 'data.jsonl')]
  for (const needed of [path.join(model, 'config.json'), path.join(model, 'model.safetensors'), data]) {
    if (existsSync(needed)) continue
    fail('FT_MODEL_NOT_FOUND', `the demo's files are not complete: ${needed} is missing`, {
      remedy: 'install the package again, or train on a model of your own: ft-native train --model <folder> --data <file>',
      details: { path: needed },
    })
  }
  const output = input.flags.text('output')
  return new ConfigBuilder()
    .withModel(model)
    .withDataset(data)
    .withTokenization({ maxSeqLength: 256 })
    .withTraining('lora', output ?? defaultOutput, {
      // The demo's own folder is there to be replaced; another one is not.
      overwrite: output === undefined || (input.flags.boolean('overwrite') ?? false),
      numEpochs: 4,
      batchSize: 16,
      learningRate: 2e-3,
      maxSteps: input.flags.integer('max-steps', { min: 1 }),
      seed: input.flags.integer('seed', { min: 0 }) ?? 42,
      saveTotalLimit: 1,
    })
    .withLora({ r: 16, loraAlpha: 32 })
    .build()
}

async function showResult(config: ResolvedConfig, context: CliContext, prompt: string, losses: readonly EvalEvent[]): Promise<void> {
  const { loadModel } = await import('../../models/index.js')
  const model = await loadModel({ name: config.model.name, dtype: config.model.dtype, device: config.model.device })
  try {
    const answer = async (): Promise<string> => (await model.generateBatch([prompt], { maxNewTokens: 48, repetitionPenalty: 1.2 }))[0]?.text.trim() ?? ''
    const base = await answer()
    await model.loadAdapter(config.training.outputDir)
    const tuned = await answer()
    const [before, after] = [losses.at(0)?.eval_loss, losses.at(-1)?.eval_loss]
    context.emit({ event: 'demo', prompt, base_answer: base, tuned_answer: tuned, eval_loss_before: before, eval_loss_after: after, adapter: path.resolve(config.training.outputDir) })
    if (before !== undefined && after !== undefined) {
      context.print(`Loss on ${losses[0]?.eval_rows} rows that were held out: ${before.toFixed(3)} before, ${after.toFixed(3)} after`)
    }
    context.print(`\nPrompt:      ${prompt}`)
    context.print(`Base model:  ${oneLine(base)}`)
    context.print(`Fine-tuned:  ${oneLine(tuned)}`)
    context.print(`\nThe adapter is in ${shown(config.training.outputDir)}. Ask it more:`)
    context.print(`  npx ft-native generate --model ${shown(config.model.name)} --adapter ${shown(config.training.outputDir)} --prompt ${JSON.stringify(prompt)}`)
  } finally {
    await model.dispose()
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}

function shown(target: string): string {
  const short = path.relative(process.cwd(), path.resolve(target))
  return short.startsWith('..') ? path.resolve(target) : short || '.'
}
