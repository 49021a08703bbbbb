// inspect: models, adapters and data, for people and for programs.
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { root } from '../support/cli.js'
import { demoData, demoModel, runModelCli } from '../support/demo-model.js'

const golden = path.join(root, 'test', 'fixtures', 'golden')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-inspect-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function inspect(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runModelCli(['inspect', ...args, '--json'])
  expect(code, stderr).to.equal(0)
  return JSON.parse(stdout) as Record<string, unknown>
}

describe('inspect model', function () {
  this.timeout(60_000)

  it('has the sizes of config.json and the parameters of the files', async () => {
    const config = JSON.parse(readFileSync(path.join(demoModel, 'config.json'), 'utf8')) as Record<string, number>
    const facts = await inspect(demoModel)
    for (const name of ['vocab_size', 'hidden_size', 'intermediate_size', 'num_hidden_layers', 'num_attention_heads', 'num_key_value_heads', 'head_dim', 'max_position_embeddings', 'tie_word_embeddings']) {
      expect(facts[name], name).to.equal(config[name])
    }
    expect(facts).to.include({ kind: 'model', model_type: 'qwen3', torch_dtype: 'bfloat16', weight_bytes: 2 * Number(facts.parameters) })
  })

  it('counts what an adapter would train: r (in + out) a module', async () => {
    const { hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: heads, head_dim: dim } = (await inspect('model', demoModel)) as Record<string, number>
    const facts = await inspect('model', demoModel, '--lora-r', '4', '--target-modules', 'q_proj')
    expect(facts.lora).to.deep.include({ r: 4, modules: layers, trainable_parameters: Number(layers) * 4 * (Number(hidden) + Number(heads) * Number(dim)) })
  })

  it('shows window, rope and shards of other families', async () => {
    const facts = await inspect(path.join(golden, 'mistral-window', 'model'))
    expect(facts).to.include({ model_type: 'mistral' })
    expect(facts.sliding_window).to.be.a('number')
    expect(facts.files).to.have.length.greaterThan(1)
    expect((await inspect(path.join(golden, 'qwen2-yarn', 'model'))).rope).to.include({ type: 'yarn' })
    const text = (await runModelCli(['inspect', path.join(golden, 'mistral-window', 'model')])).stdout
    expect(text).to.match(/^family +mistral$/m).and.match(/^context .*window \d+/m).and.match(/^all-linear +q_proj, k_proj/m)
  })

  it('estimates the memory of training by part, before anything is loaded', async () => {
    const { memory, parameters } = await inspect('model', demoModel, '--method', 'full', '--batch-size', '2', '--max-seq-length', '256', '--dtype', 'bf16', '--gradient-checkpointing', '3') as { memory: Record<string, number>; parameters: number }
    expect(memory).to.include({ method: 'full', batch_size: 2, max_seq_length: 256, optimizer: 'adamw', dtype: 'bf16', checkpointed_layers: 3, weight_bytes: 2 * parameters, optimizer_bytes: 8 * parameters })
    const lora = (await inspect('model', demoModel, '--batch-size', '2', '--max-seq-length', '256', '--dtype', 'bf16')) as { memory: Record<string, number> }
    expect(lora.memory.total_bytes).to.be.lessThan(memory.total_bytes as number)
    const text = (await runModelCli(['inspect', 'model', demoModel, '--batch-size', '2'])).stdout
    expect(text).to.match(/^Training takes about .* lora, .*2 rows of 1024 tokens, adamw$/m).and.match(/^ +activations +\d/m)
  })

  it('ends with 3 or 2 and says why', async () => {
    expect(await runModelCli(['inspect', path.join(folder, 'none')])).to.include({ code: 3 })
    expect((await runModelCli(['inspect', folder])).stderr).to.include('config.json')
    expect((await runModelCli(['inspect', demoModel, '--target-modules', 'nope'])).stderr).to.include('FT_UNKNOWN_TARGET_MODULE')
    expect(await runModelCli(['inspect', 'cat', demoModel])).to.include({ code: 2 })
    for (const kind of ['model', 'adapter', 'data']) {
      const alone = await runModelCli(['inspect', kind], { cwd: folder })
      expect(alone.code, kind).to.equal(2)
      expect(alone.stderr).to.include(`ft-native inspect ${kind} <path>`)
    }
    mkdirSync(path.join(folder, 'data'))
    writeFileSync(path.join(folder, 'data', 'config.json'), '{}')
    expect(await runModelCli(['inspect', 'data'], { cwd: folder }), 'a folder of that name').to.include({ code: 3 })
    expect((await runModelCli(['inspect', path.join(demoModel, 'model.safetensors')])).stderr).to.include('inspect its folder')
  })
})

describe('inspect adapter', () => {
  it('shows its configuration, and whether it can be used', async () => {
    const facts = await inspect(path.join(golden, 'llama-gqa', 'adapter'))
    expect(facts).to.include({ kind: 'adapter', usable: true, problem: null })
    expect(facts.config).to.include({ peft_type: 'LORA' })
    mkdirSync(path.join(folder, 'dora'))
    writeFileSync(path.join(folder, 'dora', 'adapter_config.json'), JSON.stringify({ peft_type: 'LORA', use_dora: true, r: 8, target_modules: ['q_proj'] }))
    writeFileSync(path.join(folder, 'dora', 'adapter_model.safetensors'), '')
    const { stdout } = await runModelCli(['inspect', path.join(folder, 'dora')])
    expect(stdout).to.match(/^usable +no: .*DoRA is not supported$/m)
  })
})

describe('inspect data', function () {
  this.timeout(60_000)
  const mixed = (): string => {
    const file = path.join(folder, 'mixed.jsonl')
    const messages = [{ role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello.' }]
    const rows = [{ text: 'Call me Ishmael.' }, { prompt: 'Define x:', completion: ' n. A letter.' }, { messages }, { input_ids: [1, 2, 3], labels: [-100, 2, 3] }]
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    return file
  }

  it('counts rows by shape without a model', async () => {
    expect(await inspect(mixed())).to.deep.include({ kind: 'data', rows: 4, shapes: { text: 1, prompt_completion: 1, messages: 1, tokenized: 1 } })
    expect(await inspect(demoData)).to.deep.include({ rows: readFileSync(demoData, 'utf8').trimEnd().split('\n').length })
  })

  it('with a model also lengths, truncation and what is learned', async () => {
    const facts = await inspect('data', mixed(), '--model', demoModel, '--example', '2')
    expect(facts.example).to.deep.include({ shape: 'prompt_completion' })
    const { parts } = facts.example as { parts: { text: string; loss: boolean }[] }
    expect(parts).to.have.length(2)
    expect(parts[0]).to.include({ text: 'Define x:', loss: false })
    expect(parts[1]).to.include({ text: ' n. A letter.<|endoftext|>', loss: true })
    const cut = await inspect(demoData, '--model', demoModel, '--max-seq-length', '40')
    const { truncated_share: share, truncated_rows: rows, rows: all } = cut as Record<string, number>
    expect(share).to.be.greaterThan(0)
    expect(share).to.be.closeTo(Number(rows) / Number(all), 1e-12)
    const packing = cut.packing as Record<string, number>
    expect(packing.windows).to.be.at.least(Number(cut.tokens) / 40)
    expect(packing.fill_share).to.be.closeTo(Number(cut.tokens) / (40 * Number(packing.windows)), 1e-12)
    expect(packing.rows_per_window).to.be.closeTo(Number(all) / Number(packing.windows), 1e-12)
    expect(cut.lengths).to.include.keys('mean', 'p50', 'p90', 'p99', 'max')
  })

  it('colours what is learned, and marks it where there are no colours', async () => {
    const args = ['inspect', 'data', mixed(), '--model', demoModel, '--example', '3']
    expect((await runModelCli([...args, '--no-color'])).stdout).to.include('⟦Hello.<|im_end|>')
    expect((await runModelCli([...args, '--color'])).stdout).to.include('\u001b[32mHello.<|im_end|>')
  })

  it('does not let data reach the terminal as control characters', async () => {
    const file = path.join(folder, 'evil.jsonl')
    writeFileSync(file, `${JSON.stringify({ text: 'a\u001b[2Jb' })}\n`)
    const { stdout } = await runModelCli(['inspect', file, '--model', demoModel, '--color'])
    expect(stdout).not.to.include('\u001b[2J')
  })

  it('names file, line and column of a bad row', async () => {
    const file = path.join(folder, 'bad.jsonl')
    writeFileSync(file, '{"text": "fine"}\n{"text": oops}\n')
    const { code, stderr } = await runModelCli(['inspect', file])
    expect(code).to.equal(3)
    expect(stderr).to.include('bad.jsonl:2:').and.not.include('oops')
    expect(await runModelCli(['inspect', path.join(folder, 'none.jsonl')])).to.include({ code: 3 })
    expect(await runModelCli(['inspect', demoData, '--model', demoModel, '--example', '100000'])).to.include({ code: 2 })
  })
})
