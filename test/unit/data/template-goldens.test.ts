// Chat templates of many models and the named ones, rendered as transformers renders them (scripts/make-template-goldens.py). In one
// process of their own: what a worker does to texts and clock is for a process that does nothing else.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type { ChatResult } from '../../../lib/data/templates/chat.js'
import { loadTokenizer, prepareDataset } from '../../../lib/data/index.js'
import { namedTemplates } from '../../../lib/data/templates/named.js'
import { failure, fixture, readFixture, temporaryFolder } from './helpers.js'

interface Goldens {
  now: number
  chats: Record<string, Record<string, unknown>>
  ollama: (string | null)[][]
  named: Record<string, (string | null)[]>
}

const root = fileURLToPath(new URL('../../../', import.meta.url))
const goldens = readFixture<Goldens>('chat-templates.json')
const chats = Object.entries(goldens.chats)
/** add_generation_prompt in the file, as transformers calls it. */
const jobs = chats.map(([, { add_generation_prompt: addGenerationPrompt, ...chat }]) => ({ ...chat, addGenerationPrompt }))

/** Every template with every conversation. */
function renderAll(templates: readonly string[]): ChatResult[][] {
  const script = `
    const load = (file) => import(new URL(file, ${JSON.stringify(new URL('../../../lib/data/templates/', import.meta.url).href)}))
    Promise.all([load('render.ts'), load('clock.ts'), load('python-strings.ts')]).then(([{ ConversationRenderer }, { freezeClock }, { replaceTrim }]) => {
      const { templates, jobs, now } = JSON.parse(require('fs').readFileSync(0, 'utf8'))
      freezeClock(now)
      replaceTrim()
      const variables = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' }
      const results = templates.map((template) => {
        try {
          const renderer = new ConversationRenderer({ template, toolTemplate: null, variables, controlTokens: [], now, maxCharacters: 1e6 })
          return jobs.map((job) => renderer.render(job))
        } catch (error) {
          return jobs.map(() => ({ problem: String(error) }))
        }
      })
      process.stdout.write(JSON.stringify(results))
    })`
  const input = JSON.stringify({ templates, jobs, now: goldens.now })
  const output = execFileSync(process.execPath, ['--import', 'tsx', '-e', script], { cwd: root, input, encoding: 'utf8', maxBuffer: 1 << 28, env: { ...process.env, TZ: 'UTC' } })
  return JSON.parse(output) as ChatResult[][]
}

function check(name: string, results: readonly ChatResult[], expected: readonly (string | null)[]): string[] {
  return results.flatMap((result, i) => {
    const got = 'problem' in result ? null : createHash('sha256').update(result.text).digest('hex').slice(0, 16)
    if (got === expected[i]) return []
    const said = 'problem' in result ? result.problem : JSON.stringify(result.text.slice(0, 200))
    return [`${name}, ${String(chats[i]?.[0])}: ${expected[i] === null ? 'transformers refuses it' : 'another text'}, got ${said}`]
  })
}

describe('templates as transformers renders them', () => {
  it('of 97 models', async function () {
    this.timeout(60_000)
    const file = path.join(path.dirname(createRequire(import.meta.url).resolve('@huggingface/ollama-utils')), '..', 'src', 'chat-template-automap.ts')
    interface Mapping { OLLAMA_CHAT_TEMPLATE_MAPPING: { gguf: string }[] }
    const module = (await import(file)) as Mapping & { default?: Mapping }
    const { OLLAMA_CHAT_TEMPLATE_MAPPING: all } = module.default ?? module
    expect(all).to.have.lengthOf(97)
    const results = renderAll(all.map((entry) => entry.gguf))
    expect(all.flatMap(({ gguf }, i) => check(`template ${i} (${JSON.stringify(gguf.slice(0, 40))})`, results[i] ?? [], goldens.ollama[i] ?? []))).to.deep.equal([])
  })

  it('of every name', () => {
    const names = Object.keys(namedTemplates)
    expect(names).to.include.members(['chatml', 'llama2', 'llama3', 'mistral', 'gemma', 'phi3', 'zephyr', 'vicuna', 'alpaca'])
    const results = renderAll(names.map((name) => namedTemplates[name] as string))
    expect(names.flatMap((name, i) => check(name, results[i] ?? [], goldens.named[name] ?? []))).to.deep.equal([])
    const [chatml] = results[names.indexOf('chatml')] ?? []
    expect(chatml).to.include({ text: '<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nParis.<|im_end|>\n' })
  })
})

describe('templates by name', function () {
  this.timeout(60_000)
  const folder = temporaryFolder()
  const rows = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }, { role: 'user', content: 'c' }, { role: 'assistant', content: 'd' }]

  it('mask what the assistant says, with what ends its turn', async () => {
    const tokenizer = await loadTokenizer(fixture('tokenizers/llama2-style'))
    const paths = folder.write('rows.jsonl', JSON.stringify({ messages: rows }))
    const ends: Record<string, string> = { chatml: 'b<|im_end|>\nd<|im_end|>\n', llama2: 'b </s>d </s>', llama3: 'b<|eot_id|>d<|eot_id|>', mistral: 'b</s>d</s>', vicuna: 'b</s>d</s>', phi4: 'b<|im_end|>d<|im_end|>' }
    for (const [chatTemplate, expected] of Object.entries(ends)) {
      const { train: [row] } = await prepareDataset({ paths, seed: 1, tokenizer, maxSeqLength: 512, validationRatio: 0, chatTemplate })
      const text = await tokenizer.decode(row!.labels.filter((label) => label !== -100))
      expect(text.replaceAll(/^ | (?=[bd])/g, ''), chatTemplate).to.equal(expected)
    }
    tokenizer.dispose()
  })

  it('that nobody knows are refused with those that are known', async () => {
    const tokenizer = await loadTokenizer(fixture('tokenizers/llama2-style'))
    const paths = folder.write('text.jsonl', '{"text": "a"}')
    const error = await failure(() => prepareDataset({ paths, seed: 1, tokenizer, maxSeqLength: 512, chatTemplate: 'chatlm' }), 'FT_TEMPLATE')
    expect(error.remedy).to.include('chatml')
    tokenizer.dispose()
  })
})
