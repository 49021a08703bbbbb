// A conversation with a model: turns, the commands that begin with "/", the limit of the context. Knows nothing of terminals.
import { fail, FineTuneError } from '../core/errors/index.js'
import { pathKind, writeFileAtomic } from '../utils/fs.js'
import type { PromptEncoder } from './generation-encode.js'
import { answerRoom, finishReasons, samplingOptions, type FinishText, type GenerationSetup } from './generation-model.js'
import type { Message } from './generation-prompts.js'

export const chatHelp = [
  '/reset        begin a new conversation',
  '/save <file>  write the conversation as one JSONL row, which train can read',
  '/exit         leave; so does Ctrl-D',
  'Ctrl-C        stop the answer',
].join('\n')

export interface Turn {
  prompt_tokens: number
  completion_tokens: number
  finish_reason: FinishText | 'stopped'
}

export interface AnswerOptions {
  onPiece: (piece: string) => void
  /** Ends this answer; what was said of it stays in the conversation. */
  stop: AbortSignal
}

/** What a line led to. */
export type LineResult = { kind: 'answer'; turn: Turn } | { kind: 'notice'; text: string } | { kind: 'exit' }

export class Conversation {
  readonly turns: Turn[] = []
  readonly #setup: GenerationSetup
  readonly #encoder: PromptEncoder
  readonly #system: string | undefined
  #messages: Message[] = []

  constructor(setup: GenerationSetup, encoder: PromptEncoder, system: string | undefined) {
    this.#setup = setup
    this.#encoder = encoder
    this.#system = system
  }

  get messages(): Message[] {
    return [...(this.#system === undefined ? [] : [{ role: 'system', content: this.#system }]), ...this.#messages]
  }

  /** One line of a person: a command, or a message that is answered. Errors leave the conversation as it was. */
  async line(text: string, options: AnswerOptions): Promise<LineResult> {
    const [command = '', ...rest] = text.trim().split(/\s+/)
    switch (command) {
      case '/exit':
      case '/quit':
        return { kind: 'exit' }
      case '/reset':
        this.#messages = []
        return { kind: 'notice', text: 'a new conversation begins' }
      case '/save':
        return { kind: 'notice', text: await this.#save(rest.join(' ')) }
      case '/help':
        return { kind: 'notice', text: chatHelp }
      default:
        if (/^\/[a-z]+$/.test(command)) return { kind: 'notice', text: `unknown command ${command}\n${chatHelp}` }
        return { kind: 'answer', turn: await this.#answer(text, options) }
    }
  }

  async #save(file: string): Promise<string> {
    if (file === '') return '/save needs a file name'
    if ((await pathKind(file)) !== null) fail('FT_OUTPUT_EXISTS', `${file} exists already`, { remedy: 'choose another name' })
    await writeFileAtomic(file, `${JSON.stringify({ messages: this.messages })}\n`)
    return `saved ${this.messages.length} messages to ${file}`
  }

  async #answer(text: string, { onPiece, stop }: AnswerOptions): Promise<Turn> {
    const question: Message = { role: 'user', content: text }
    const ids = await this.#encoder.encode({ messages: [...this.messages, question] })
    const room = this.#room(ids.length)
    let said = ''
    let completionTokens = 0
    let finish: Turn['finish_reason'] = 'stopped'
    try {
      const [row] = await this.#setup.model.generateBatch([ids], {
        ...samplingOptions(this.#setup),
        seed: this.#setup.sampling.seed + this.turns.length,
        maxNewTokens: room,
        signal: stop,
        onPiece: (_row, piece) => {
          said += piece
          completionTokens += 1
          onPiece(piece)
        },
      })
      if (row !== undefined) [completionTokens, finish] = [row.tokens.length, finishReasons[row.finishReason]]
    } catch (error) {
      if (!(stop.aborted && error instanceof FineTuneError && error.code === 'FT_CANCELLED')) throw error
    }
    this.#messages.push(question, { role: 'assistant', content: said })
    const turn: Turn = { prompt_tokens: ids.length, completion_tokens: completionTokens, finish_reason: finish }
    this.turns.push(turn)
    return turn
  }

  #room(promptTokens: number): number {
    const { contextLength } = this.#setup
    if (promptTokens < contextLength) return answerRoom(promptTokens, this.#setup)
    return fail('FT_INVALID_ARGUMENT', `the conversation has ${promptTokens} tokens with this message, the context of the model is ${contextLength}`, {
      remedy: this.#messages.length > 0 ? '/reset begins a new conversation' : 'write a shorter message',
      details: { prompt_tokens: promptTokens, context_length: contextLength },
    })
  }
}
