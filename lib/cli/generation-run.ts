// What `generate` does once its prompts are known: encode, generate batch by batch, show.
import type { CliContext } from './context.js'
import { answerRoom, finishReasons, openModel, samplingOptions, type FinishText, type GenerationSetup } from './generation-model.js'
import type { Message, Prompt } from './generation-prompts.js'
import { PromptEncoder, type ChatOptions } from './generation-encode.js'
import type { ParsedFlags } from './parsed-flags.js'

export interface GenerateRequest {
  flags: ParsedFlags
  context: CliContext
  prompts: readonly Prompt[]
  batchSize: number
  chat: ChatOptions
}

interface Answer {
  prompt?: string
  messages?: Message[]
  text: string
  finish_reason: FinishText
  prompt_tokens: number
  /** With the token that ended it. */
  completion_tokens: number
}

export async function generateAll({ flags, context, prompts, batchSize, chat }: GenerateRequest): Promise<void> {
  const setup = await openModel(flags, context, 'generate')
  try {
    const encoded = await encodeAll(prompts, new PromptEncoder(await setup.model.tokenizer(), chat))
    for (const [index, { ids }] of encoded.entries()) answerRoom(ids.length, setup, prompts.length === 1 ? 'the prompt' : `prompt ${index + 1}`)
    const start = performance.now()
    const answers: Answer[] = []
    for (let first = 0; first < encoded.length; first += batchSize) {
      answers.push(...(await generateSome(encoded.slice(first, first + batchSize), setup, { context, first, total: encoded.length })))
    }
    report(answers, setup, (performance.now() - start) / 1000, context)
  } finally {
    await setup.model.dispose()
  }
}

interface EncodedPrompt {
  prompt: Prompt
  ids: Int32Array
}

async function encodeAll(prompts: readonly Prompt[], encoder: PromptEncoder): Promise<EncodedPrompt[]> {
  try {
    return await Promise.all(prompts.map(async (prompt) => ({ prompt, ids: await encoder.encode(prompt) })))
  } finally {
    await encoder.dispose()
  }
}

/** The prompts of one batch; each answer may be as long as the context leaves room behind its own prompt. */
async function generateSome(batch: readonly EncodedPrompt[], setup: GenerationSetup, { context, first, total }: { context: CliContext; first: number; total: number }): Promise<Answer[]> {
  const rows = await setup.model.generateBatch(batch.map(({ ids }) => ids), {
    ...samplingOptions(setup),
    maxNewTokens: batch.map(({ ids }) => answerRoom(ids.length, setup)),
    onPiece: total === 1 ? (_row, piece) => context.write(piece) : undefined,
    signal: context.signal,
  })
  return rows.map((row, index) => {
    const { prompt, ids } = batch[index] as EncodedPrompt
    const answer: Answer = {
      ...('text' in prompt ? { prompt: prompt.text } : { messages: prompt.messages }),
      text: row.text,
      finish_reason: finishReasons[row.finishReason],
      prompt_tokens: ids.length,
      completion_tokens: row.tokens.length,
    }
    if (total > 1) context.print(`${heading(prompt, first + index + 1, total, context.color)}\n${row.text}\n`)
    return answer
  })
}

function heading(prompt: Prompt, number: number, total: number, colors: boolean): string {
  const text = 'text' in prompt ? prompt.text : (prompt.messages.at(-1)?.content ?? '')
  const line = `[${number}/${total}] ${text.replaceAll(/\s+/g, ' ')}`
  return colors ? `\u001b[1m${line}\u001b[22m` : line
}

function report(answers: readonly Answer[], { model, sampling }: GenerationSetup, seconds: number, context: CliContext): void {
  const promptTokens = answers.reduce((sum, answer) => sum + answer.prompt_tokens, 0)
  const completionTokens = answers.reduce((sum, answer) => sum + answer.completion_tokens, 0)
  const rate = seconds > 0 ? completionTokens / seconds : 0
  if (answers.length === 1) context.print('')
  const [only] = answers
  const reason = answers.length === 1 && only !== undefined ? `, ended by ${only.finish_reason}` : ''
  context.logger.info(`${completionTokens} tokens in ${seconds.toFixed(2)} s (${rate.toFixed(1)} tokens/s)${reason}`)
  context.document({
    model: model.name,
    device: model.info.device,
    dtype: model.info.dtype,
    options: {
      max_new_tokens: sampling.maxNewTokens, temperature: sampling.temperature, top_k: sampling.topK, top_p: sampling.topP,
      repetition_penalty: sampling.repetitionPenalty, seed: sampling.seed, stop: sampling.stop,
    },
    results: answers,
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    seconds,
    tokens_per_second: rate,
  })
}
