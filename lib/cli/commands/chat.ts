// ft-native chat: a conversation through the model's chat template. On a terminal a person types; elsewhere each line of
// standard input is a turn.
import { inGroup, pickConfigFlags } from '../../core/config/flags.js'
import { describeError, FineTuneError } from '../../core/errors/index.js'
import type { Command } from '../command.js'
import type { CliContext } from '../context.js'
import type { Conversation } from '../generation-chat.js'
import { modelFlags, requireModel, samplingFlags } from '../generation-flags.js'
import type { GenerationSetup } from '../generation-model.js'
import type { LineSource } from '../generation-terminal.js'

const group = 'The conversation'

export const chat = {
  flags: () => ({
    ...modelFlags(),
    system: { kind: 'string', group, valueName: '<text>', describe: 'System message at the beginning.' },
    ...inGroup(group, pickConfigFlags('chat-template')),
    ...samplingFlags(),
  }),
  examples: ['ft-native chat --model ./model --adapter ./output', 'printf "Hello\\nAnd you?\\n" | ft-native chat --model ./model --system "Be brief."'],
  handlesSignals: true,
  async run(input, context) {
    requireModel(input.flags, 'chat')
    const { openModel } = await import('../generation-model.js')
    const setup = await openModel(input.flags, context, 'chat')
    try {
      const { PromptEncoder } = await import('../generation-encode.js')
      const { Conversation } = await import('../generation-chat.js')
      const encoder = new PromptEncoder(await setup.model.tokenizer(), { always: true, templateFile: input.flags.text('chat-template') })
      try {
        await talk(new Conversation(setup, encoder, input.flags.text('system')), setup, context)
      } finally {
        await encoder.dispose()
      }
    } finally {
      await setup.model.dispose()
    }
  },
} satisfies Command

async function talk(conversation: Conversation, { model }: GenerationSetup, context: CliContext): Promise<void> {
  const lines = await linesOf(context)
  try {
    for (let line = await lines.next(); line !== null; line = await lines.next()) {
      if (line.trim() === '') continue
      if (!(await turn(line, conversation, lines, context)) || context.signal.aborted) break
    }
  } finally {
    lines.close()
  }
  context.document({ model: model.name, device: model.info.device, dtype: model.info.dtype, messages: conversation.messages, turns: conversation.turns })
}

async function linesOf(context: CliContext): Promise<LineSource> {
  const { pipeLines, terminalLines } = await import('../generation-terminal.js')
  const { signal } = context
  if (!context.interactive) return pipeLines(process.stdin, { signal })
  const { chatHelp } = await import('../generation-chat.js')
  process.stderr.write(`${chatHelp}\n\n`)
  return terminalLines(process.stdin, process.stderr, { prompt: '> ', hint: '(/exit or Ctrl-D leaves)', signal })
}

/** False: leave. A mistake at a terminal is shown and the conversation goes on; elsewhere it ends the program. */
async function turn(line: string, conversation: Conversation, lines: LineSource, context: CliContext): Promise<boolean> {
  const stop = new AbortController()
  try {
    const result = await lines.during(
      () => stop.abort(),
      () => conversation.line(line, { onPiece: (piece) => context.write(piece), stop: AbortSignal.any([stop.signal, context.signal]) }),
    )
    if (result.kind === 'exit') return false
    if (result.kind === 'notice') notify(result.text, context)
    else {
      context.write('\n')
      if (result.turn.finish_reason === 'length') notify('(the answer was cut off: --max-new-tokens or the context ended it)', context)
      if (result.turn.finish_reason === 'stopped') notify('(stopped)', context)
    }
    return true
  } catch (error) {
    if (!context.interactive || !(error instanceof FineTuneError)) throw error
    process.stderr.write(`${describeError(error)}\n`)
    return true
  }
}

function notify(text: string, context: CliContext): void {
  if (!context.quiet) process.stderr.write(`${text}\n`)
}
