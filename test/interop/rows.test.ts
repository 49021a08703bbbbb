// Rows become the same token ids, with loss on the same positions, as in TRL's own preprocessing: text, prompt and
// completion, conversations through a template that marks what the assistant says, and the ids of conversations
// through templates of real models.
import { cp } from 'node:fs/promises'
import { expect } from 'chai'
import { loadTokenizer, prepareDataset } from '../../lib/data/index.js'
import { familyModel, familyNames, reference, scratchFolder, sentences, writeJsonLines } from './shared.js'

interface Encoded { input_ids: number[]; labels: number[] }

async function encodeHere(model: string, rows: object[], name: string): Promise<Encoded[]> {
  const tokenizer = await loadTokenizer(model)
  try {
    const paths = [writeJsonLines(scratchFolder(`${name}-${Math.random().toString(36).slice(2)}.jsonl`), rows)]
    const { train } = await prepareDataset({ paths, validationRatio: 0, seed: 1, tokenizer, maxSeqLength: 1024 })
    return train.map((row) => ({ input_ids: [...row.inputIds], labels: [...row.labels] }))
  } finally {
    tokenizer.dispose()
  }
}

const texts = [...sentences, '', ' leading and trailing ', 'e\u0301 combining, a\u200bzero width', 'line\r\nends\n\n\n', '\u0000control\u0007', '𝔘𝔫𝔦𝔠𝔬𝔡𝔢 '.repeat(10)]

// Completions begin with a space, a letter after punctuation, or a new line: where the prompt's last token ends
// at the boundary. A token across it carries loss here (TRL masks by the number of prompt tokens).
const pairs = sentences.flatMap((sentence, i) => [
  { prompt: `Q${i}: ${sentence}`, completion: ` ${sentences[(i + 1) % sentences.length] ?? ''}` },
  { prompt: `${sentence}\n###\n`, completion: 'Yes 🙂.' },
  { prompt: 'x', completion: ' y' },
])

const conversations = sentences.map((sentence, i) => ({
  messages: [
    ...(i % 3 === 0 ? [{ role: 'system', content: 'Be brief – très bref.' }] : []),
    { role: 'user', content: sentence },
    { role: 'assistant', content: sentences[(i + 3) % sentences.length] ?? '' },
    ...(i % 2 === 0 ? [{ role: 'user', content: 'And then?\n' }, { role: 'assistant', content: `Then ${i}.` }] : []),
  ],
}))

/** What is given ends before the last answer. */
const continued = conversations.map(({ messages }) => ({ prompt: messages.slice(0, -1), completion: messages.slice(-1) }))

describe('rows as TRL prepares them', () => {
  for (const family of familyNames) {
    it(`${family}: text, prompt and completion, conversations`, async () => {
      const model = await familyModel(family)
      for (const [name, rows, assistantOnly] of [['text', texts.map((text) => ({ text })), false], ['pairs', pairs, false], ['messages', conversations, true], ['continued', continued, true]] as const) {
        const kept = name === 'text' ? (rows as { text: string }[]).filter(({ text }) => text !== '') : [...rows]
        const theirs = await reference().call('sft_rows', { model, rows: kept, output: scratchFolder(`rows-${family}`), assistant_only_loss: assistantOnly })
        const ours = await encodeHere(model, kept, `${family}-${name}`)
        expect(ours).to.have.length(kept.length)
        for (const [i, row] of theirs.entries()) expect(ours[i], `${name} row ${i}: ${JSON.stringify(kept[i])}`).to.deep.equal(row)
        if (name !== 'text') expect(theirs.some((row) => row.labels.includes(-100) && row.labels.some((label) => label !== -100))).to.equal(true)
      }
    })
  }

  for (const template of ['qwen2_5', 'qwen3', 'llama3', 'phi3', 'gemma']) {
    it(`ids of conversations through the ${template} template`, async () => {
      const model = scratchFolder(`template-${template}`)
      await cp(await familyModel('llama'), model, { recursive: true })
      await reference().call('use_chat_template', { model, name: template })
      const rows = conversations.filter(({ messages }) => messages[0]?.role !== 'system')
      const theirs = await reference().call('sft_rows', { model, rows, output: scratchFolder(`rows-${template}`) })
      const ours = await encodeHere(model, rows, template)
      for (const [i, row] of theirs.entries()) {
        expect(ours[i]?.input_ids, `row ${i}`).to.deep.equal(row.input_ids)
        expect(ours[i]?.labels.some((label) => label !== -100), `row ${i} has loss`).to.equal(true)
        expect(ours[i]?.labels.filter((label, t) => label !== -100 && label !== row.input_ids[t])).to.deep.equal([])
      }
    })
  }
})
