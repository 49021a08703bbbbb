// ft-native generate: continues prompts. One prompt streams to stdout; several are generated together, `--batch-size`
// at a time.
import { inGroup, pickConfigFlags } from '../../core/config/flags.js'
import { fail } from '../../core/errors/index.js'
import type { Command } from '../command.js'
import { modelFlags, requireModel, samplingFlags } from '../generation-flags.js'

const group = 'Prompts'

export const generate = {
  flags: () => ({
    ...modelFlags(),
    prompt: { kind: 'list', group, valueName: '<text>', describe: 'A text to go on from. May be repeated. Without any: standard input is one prompt.' },
    'prompt-file': { kind: 'string', group, valueName: '<file>', describe: 'One prompt a line, "-" for standard input; a .jsonl file: texts, {"prompt"} or {"messages"}.' },
    chat: { kind: 'boolean', group, describe: "Put each prompt into the model's chat template, as a user's message." },
    system: { kind: 'string', group, valueName: '<text>', describe: 'System message before it, with --chat.' },
    ...inGroup(group, pickConfigFlags('chat-template')),
    'batch-size': { kind: 'integer', group, describe: 'Prompts that are generated together.', defaultText: '16' },
    ...samplingFlags(),
  }),
  examples: [
    'ft-native generate --model ./model --prompt "Once upon a time" --max-new-tokens 100',
    'ft-native generate --model ./model --adapter ./output --chat --prompt "Who are you?"',
    'ft-native generate --model ./model --prompt-file prompts.jsonl --json > answers.json',
  ],
  async run({ flags }, context) {
    requireModel(flags, 'generate')
    const batchSize = flags.integer('batch-size', { min: 1, max: 4096 }) ?? 16
    if (flags.has('system') && flags.boolean('chat') !== true) fail('FT_USAGE', '--system needs --chat', { remedy: 'add --chat' })
    const { readPrompts } = await import('../generation-prompts.js')
    const prompts = await readPrompts(flags, process)
    const { generateAll } = await import('../generation-run.js')
    const chat = { always: flags.boolean('chat') ?? false, system: flags.text('system'), templateFile: flags.text('chat-template') }
    await generateAll({ flags, context, prompts, batchSize, chat })
  },
} satisfies Command
