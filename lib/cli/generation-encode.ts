// Prompts as token ids. A plain prompt is the person's own text: special tokens in it are special, and the tokenizer adds
// its beginning-of-sequence token. A conversation goes through the chat template, which writes everything itself; what
// its messages say is never a control token.
import { openChat, type Chat, type TextTokenizer } from '../data/index.js'
import type { Message, Prompt } from './generation-prompts.js'

export interface ChatOptions {
  /** Plain prompts become a user's message too. */
  always: boolean
  /** Put before such a prompt. */
  system?: string
  /** Jinja file, instead of the model's own template. */
  templateFile?: string
}

export class PromptEncoder {
  readonly #tokenizer: TextTokenizer
  readonly #options: ChatOptions
  #chat: Promise<Chat> | null = null

  constructor(tokenizer: TextTokenizer, options: ChatOptions) {
    this.#tokenizer = tokenizer
    this.#options = options
  }

  /** Errors: FT_TEMPLATE, where a conversation meets a model without a template. */
  async encode(prompt: Prompt): Promise<Int32Array> {
    if ('messages' in prompt) return await this.#encodeChat(prompt.messages)
    if (!this.#options.always) return await this.#tokenizer.encode(prompt.text)
    const { system } = this.#options
    return await this.#encodeChat([...(system === undefined ? [] : [{ role: 'system', content: system }]), { role: 'user', content: prompt.text }])
  }

  async #encodeChat(messages: readonly Message[]): Promise<Int32Array> {
    this.#chat ??= openChat(this.#tokenizer, { chatTemplate: this.#options.templateFile })
    return await (await this.#chat).encode(messages.map(({ role, content }) => ({ role, content })))
  }

  /** Ends the template's worker. The tokenizer stays its owner's. */
  async dispose(): Promise<void> {
    await this.#chat?.then((chat) => chat.dispose(), () => undefined)
  }
}
