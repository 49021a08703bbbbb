// Conversations rendered, tokenized and masked as transformers does it (scripts/make-tokenizer-goldens.py).
// The mask of a plain template must be that of its twin with {% generation %} marks.
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { labelSpans } from '../../../lib/data/masking.js'
import { ChatRenderer } from '../../../lib/data/templates/renderer.js'
import type { ChatJob, RenderedChat } from '../../../lib/data/templates/chat.js'
import { loadTokenizer, type TextTokenizer } from '../../../lib/data/tokenizer/index.js'
import { fixture, readFixture } from './helpers.js'

interface Golden {
  name: string
  tokenizer: string
  template: string
  messages: ChatJob['messages']
  tools?: unknown[]
  add_generation_prompt?: boolean
  rendered: string
  ids: number[]
  mask: number[]
}

const goldens = readFixture<Golden[]>('tokenizers/chats.json')
const groups = new Map<string, Golden[]>()
for (const golden of goldens) {
  const name = `${golden.tokenizer} ${golden.template}`
  groups.set(name, [...(groups.get(name) ?? []), golden])
}

for (const [name, cases] of groups) {
  describe(`conversations: ${name}`, () => {
    const first = cases[0] as Golden
    let tokenizer: TextTokenizer
    before(async () => {
      tokenizer = await loadTokenizer(fixture(`tokenizers/${first.tokenizer}`))
    })
    after(() => tokenizer.dispose())

    for (const variant of ['-generation', '']) {
      it(`${first.template}${variant}.jinja: text, ids and mask of transformers`, async () => {
        const template = readFileSync(fixture(`tokenizers/templates/${first.template}${variant}.jinja`), 'utf8')
        const renderer = new ChatRenderer({ template, variables: tokenizer.namedTokens, controlTokens: tokenizer.controlTokens })
        const results = await renderer.render(cases.map((golden) => ({
          messages: golden.messages, tools: golden.tools, addGenerationPrompt: golden.add_generation_prompt, spans: true,
        })))
        for (const [i, golden] of cases.entries()) {
          expect(results[i], golden.name).not.to.have.property('problem')
          const chat = results[i] as RenderedChat
          expect(chat.text, golden.name).to.equal(golden.rendered)
          const [encoded] = await tokenizer.encodeRequests([{ text: chat.text, trust: chat.protectedPositions, addSpecialTokens: false, offsets: true }])
          expect([...encoded!.ids], golden.name).to.deep.equal(golden.ids)
          const labels = labelSpans(encoded!.ids, encoded!.offsets!, chat.spans, encoded!)
          expect([...labels].map((label) => (label === -100 ? 0 : 1)), golden.name).to.deep.equal(golden.mask)
        }
        await renderer.dispose()
      })
    }
  })
}
