// Conversations for programs and the chat command: rendered, or as ids in which what people wrote is never a
// control token.
import { fail } from '../core/errors/index.js'
import { checkOptions, type OptionNames } from '../core/options.js'
import type { ChatResult, Message } from './templates/chat.js'
import { chooseTemplate, openRenderer } from './templates/choose.js'
import { ChatRenderer } from './templates/renderer.js'
import type { Encoded, TextTokenizer } from './tokenizer/index.js'

const remedy = 'give messages that the template takes (roles, their order), or name another template with --chat-template'

export interface ChatOptions {
  tools?: readonly unknown[]
  /** End with the opening of an assistant turn. Default true. */
  addGenerationPrompt?: boolean
}

const chatNames: OptionNames<ChatOptions> = { tools: true, addGenerationPrompt: true }

export interface Chat {
  render(messages: readonly Message[], options?: ChatOptions): Promise<string>
  /** For generation: text of the messages stays text. */
  encode(messages: readonly Message[], options?: ChatOptions): Promise<Int32Array>
  dispose(): Promise<void>
}

/** Opens the model's chat template, or the file `chatTemplate`. Errors: FT_TEMPLATE. */
export async function openChat(tokenizer: TextTokenizer, options: { chatTemplate?: string } = {}): Promise<Chat> {
  const chosen = await chooseTemplate(tokenizer, options.chatTemplate)
  if (chosen === null) {
    fail('FT_TEMPLATE', `the model in ${tokenizer.folder} has no chat template`, { remedy: 'name a Jinja template file with --chat-template' })
  }
  const renderer = openRenderer(tokenizer, chosen)
  const run = async (messages: readonly Message[], { tools, addGenerationPrompt = true }: ChatOptions = {}) =>
    firstOf(await renderer.render([{ messages, tools, addGenerationPrompt }]))
  return {
    render: async (messages, chatOptions) => (await run(messages, chatOptions)).text,
    async encode(messages, chatOptions) {
      const { text, protectedPositions } = await run(messages, chatOptions)
      const [encoded] = await tokenizer.encodeRequests([{ text, trust: protectedPositions, addSpecialTokens: false }])
      const { ids } = encoded as Encoded
      if (ids.length === 0) fail('FT_TEMPLATE', 'the chat template makes an empty text of this conversation', { remedy })
      return ids
    },
    dispose: () => renderer.dispose(),
  }
}

export interface RenderChatOptions extends ChatOptions {
  /** Its template and named tokens (bos_token …) are used. */
  tokenizer?: TextTokenizer
  /** Template source, instead of the tokenizer's. */
  template?: string
}

const renderNames: OptionNames<RenderChatOptions> = { ...chatNames, tokenizer: true, template: true }

/** One conversation as text. A worker is started for it: for several, openChat. Errors: FT_TEMPLATE. */
export async function renderChat(messages: readonly Message[], options: RenderChatOptions): Promise<string> {
  checkOptions('renderChat', options, renderNames)
  const { tokenizer, template, tools, addGenerationPrompt = false } = options
  const source = template ?? tokenizer?.chatTemplate
  if (source === undefined) fail('FT_TEMPLATE', 'there is no chat template', { remedy: 'pass one as `template`' })
  const chosen = { template: source, toolTemplate: null }
  const renderer = tokenizer === undefined ? new ChatRenderer(chosen) : openRenderer(tokenizer, chosen)
  try {
    return firstOf(await renderer.render([{ messages, tools, addGenerationPrompt }])).text
  } finally {
    await renderer.dispose()
  }
}

function firstOf(results: readonly ChatResult[]): Exclude<ChatResult, { problem: string }> {
  const [result] = results
  if (result === undefined || 'problem' in result) return fail('FT_TEMPLATE', result?.problem ?? 'the chat template gave no result', { remedy })
  return result
}
