// {instruction, input?, output, system?, history?}: Stanford Alpaca, with the history of LLaMA-Factory. Messages where the
// model has a chat template (instruction, newline, input), else the text of Stanford's prompt, with each earlier answer in its place.
// https://github.com/tatsu-lab/stanford_alpaca/blob/main/train.py
import { lazily, type Zod } from '../../core/zod.js'
import type { Span } from '../masking.js'
import type { Message } from '../templates/chat.js'
import { describeIssue, findBrokenText, type PairRow, type ParsedRow, type RowFormat } from './format.js'

const preambles = {
  withInput: 'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.',
  alone: 'Below is an instruction that describes a task. Write a response that appropriately completes the request.',
}

const schema = lazily((z: Zod) => z.looseObject({
  instruction: z.string('expected a text'),
  input: z.string('expected a text').nullish(),
  output: z.string('expected a text'),
  system: z.string('expected a text').nullish(),
  history: z.array(z.tuple([z.string('expected a text'), z.string('expected a text')], 'expected [instruction, answer]'), 'expected a list of [instruction, answer]').nullish(),
}))

export const alpacaFormat: RowFormat = {
  name: 'alpaca',
  shape: '{instruction, input?, output, system?, history?}',
  columns: ['instruction', 'output'],
  optional: ['input', 'system', 'history'],
  schema,
  parse(row) {
    const result = schema().safeParse(row)
    if (!result.success) return { problem: describeIssue(result.error, row) }
    const { instruction, input, output, system, history } = result.data
    for (const [name, value] of Object.entries({ instruction, input, output, system, history })) {
      const broken = findBrokenText(value, name)
      if (broken !== null) return { problem: broken }
    }
    return readInstruction({ instruction, input: input ?? '', output, system: system ?? '', history: history ?? [] })
  },
}

export interface Instruction {
  instruction: string
  /** '': none. */
  input: string
  output: string
  /** '': none. */
  system: string
  /** Earlier instructions with their answers. */
  history: readonly (readonly [string, string])[]
}

export function readInstruction(row: Instruction): ParsedRow {
  return { kind: 'instruction', chat: { kind: 'chat', messages: messagesOf(row), tools: null }, pair: pairOf(row) }
}

function messagesOf({ instruction, input, output, system, history }: Instruction): Message[] {
  const earlier = history.flatMap(([asked, answer]) => [{ role: 'user', content: asked }, { role: 'assistant', content: answer }])
  return [
    ...(system === '' ? [] : [{ role: 'system', content: system }]),
    ...earlier,
    { role: 'user', content: input === '' ? instruction : `${instruction}\n${input}` },
    { role: 'assistant', content: output },
  ]
}

function pairOf({ instruction, input, output, system, history }: Instruction): PairRow {
  const answers: Span[] = []
  let prompt = `${system === '' ? preambles[input === '' ? 'alone' : 'withInput'] : system}\n\n`
  for (const [asked, answer] of history) {
    prompt += `### Instruction:\n${asked}\n\n### Response:`
    if (answer !== '') answers.push([prompt.length, prompt.length + answer.length])
    prompt += `${answer}\n\n`
  }
  prompt += `### Instruction:\n${instruction}\n\n${input === '' ? '' : `### Input:\n${input}\n\n`}### Response:`
  return { kind: 'pair', prompt, completion: output, ...(answers.length > 0 ? { answers } : {}) }
}
