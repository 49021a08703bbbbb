// The facades: what a program sees of a model, end to end on a tiny random model with a real tokenizer.
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { FineTuneError, type ErrorCode } from '../../lib/core/errors/index.js'
import {
  createOptimizer, inspectModel, loadModel, loadModelAndTokenizer, mergeAdapter, ModelLoader, readAdapterConfig, TargetModuleDetector,
  type LoadModelOptions, type Model,
} from '../../lib/models/index.js'
import { setupLogger } from '../../lib/utils/logging.js'
import { failsWith, temporaryFolder, tinyConfig } from './support.js'

const fixtures = fileURLToPath(new URL('../fixtures', import.meta.url))
const tokenizerFolder = path.join(fixtures, 'tokenizers', 'qwen-style')
const vocabSize = 447 // of that tokenizer
const options = { dtype: 'fp32', device: 'cpu', init: 'random', seed: 5, threads: 1 } as const satisfies Omit<LoadModelOptions, 'name'>

/** config.json and a tokenizer, no weights. */
function folderWithTokenizer(changes: Record<string, unknown> = {}): string {
  const folder = temporaryFolder()
  for (const name of fs.readdirSync(tokenizerFolder)) {
    if (name.endsWith('.json') || name.endsWith('.jinja')) fs.copyFileSync(path.join(tokenizerFolder, name), path.join(folder, name))
  }
  fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...tinyConfig, vocab_size: vocabSize, eos_token_id: null, bos_token_id: null, ...changes }))
  fs.rmSync(path.join(folder, 'generation_config.json'), { force: true })
  return folder
}

/** A safetensors file with tensors of one fp32 value besides its own. */
function withTensors(bytes: Buffer, names: string[]): Buffer {
  const end = 8 + Number(bytes.readBigUInt64LE())
  const header = JSON.parse(bytes.toString('utf8', 8, end)) as Record<string, unknown>
  const data = bytes.subarray(end)
  names.forEach((name, i) => (header[name] = { dtype: 'F32', shape: [1], data_offsets: [data.length + 4 * i, data.length + 4 * (i + 1)] }))
  const text = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, data, Buffer.alloc(4 * names.length)])
}

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of source) all.push(item)
  return all
}

const rowsOf = (data: Float32Array, width: number): number[][] => Array.from({ length: data.length / width }, (_, i) => Array.from(data.subarray(i * width, (i + 1) * width)))

describe('Model', () => {
  let folder: string
  let model: Model
  before(async () => {
    folder = folderWithTokenizer()
    model = await loadModel({ ...options, name: folder })
  })
  after(async () => await model.dispose())

  it('forward gives [batch, seq, vocab], zeros behind shorter rows', async () => {
    const { logits, shape } = await model.forward([[1, 2, 3], [4, 5]])
    expect(shape).to.deep.equal([2, 3, vocabSize])
    expect(logits).to.be.instanceOf(Float32Array).with.length(2 * 3 * vocabSize)
    expect(logits.subarray(5 * vocabSize).every((value) => value === 0)).to.equal(true)
    const alone = await model.forward([[4, 5]])
    expect(alone.shape).to.deep.equal([1, 2, vocabSize])
    const [row, same] = [logits.subarray(3 * vocabSize, 5 * vocabSize), alone.logits]
    for (let i = 0; i < row.length; i += 97) expect(row[i]).to.be.closeTo(same[i] as number, 1e-5)
    expect((await model.forward({ inputIds: Int32Array.of(4, 5), cuSeqlens: Int32Array.of(0, 2) })).logits).to.deep.equal(alone.logits)
  })

  it('logprobs scores every token, or those with a label', async () => {
    const all = await model.logprobs([[1, 2, 3], [4, 5]])
    expect(all.shape).to.deep.equal([2, 3])
    const [first, second] = rowsOf(all.logprobs, 3)
    expect(first?.[0]).to.equal(0)
    expect(first?.[1]).to.be.below(0)
    expect(second?.[2]).to.equal(0)
    const some = await model.logprobs({ inputIds: [[1, 2, 3]], labels: [[-100, -100, 3]] })
    expect(some.logprobs[1]).to.equal(0)
    expect(some.logprobs[2]).to.be.closeTo(first?.[2] as number, 1e-5)
    const evaluation = await model.evaluate([[1, 2, 3], [4, 5]])
    expect(evaluation).to.include({ supervisedTokens: 3, tokens: 5 })
    expect(evaluation.lossSum).to.be.closeTo(-all.logprobs.reduce((a, b) => a + b, 0), 1e-4)
  })

  it('wrong input is a typed error', async () => {
    await failsWith('FT_INVALID_ARGUMENT', () => model.forward([]))
    await failsWith('FT_INVALID_ARGUMENT', () => model.forward([[vocabSize]]))
    await failsWith('FT_INVALID_ARGUMENT', () => model.forward('text' as unknown as number[][]))
    await failsWith('FT_INVALID_ARGUMENT', () => collect(model.generate(7 as unknown as string)))
    await failsWith('FT_INVALID_ARGUMENT', () => collect(model.generate('a', { temperature: -1 })))
    await failsWith('FT_INVALID_ARGUMENT', () => collect(model.generate([1], { stop: 'x' })))
  })

  describe('generate', () => {
    it('streams text that together is the decoded tokens', async () => {
      const tokenizer = await model.tokenizer()
      const ids = await tokenizer.encode('Once upon')
      const tokens = await collect(model.generate(ids, { maxNewTokens: 24 }))
      expect(tokens).to.have.length(24)
      const iterator = model.generate('Once upon', { maxNewTokens: 24 })
      let text = ''
      let next = await iterator.next()
      for (; next.done !== true; next = await iterator.next()) text += next.value
      expect(next.value).to.deep.equal({ text, tokens, finishReason: 'length' })
      expect(text).to.not.equal('')
      const [row] = await model.generateBatch(['Once upon'], { maxNewTokens: 24 })
      expect(row).to.deep.equal({ text, tokens, finishReason: 'length' })
    })

    it('stops at strings and tokens', async () => {
      const sample = { maxNewTokens: 40, temperature: 1, seed: 4 }
      const [whole] = await model.generateBatch(['Once upon'], sample)
      const text = whole?.text ?? ''
      const stop = /[ -~]{3}/.exec(text.slice(4))?.[0] ?? ''
      expect(stop).to.have.length(3)
      const [stopped] = await model.generateBatch(['Once upon'], { ...sample, stop: [stop, 'never this'] })
      expect(stopped).to.include({ text: text.slice(0, text.indexOf(stop)), finishReason: 'stop_string' })
      expect(stopped?.tokens.length).to.be.below(40)
      expect((await collect(model.generate('Once upon', { ...sample, stop }))).join('')).to.equal(stopped?.text)
      const token = whole?.tokens[5] as number
      const [ended] = await model.generateBatch(['Once upon'], { ...sample, stopTokenIds: [token] })
      expect(ended?.finishReason).to.equal('stop_token')
      expect(ended?.tokens).to.deep.equal(whole?.tokens.slice(0, (whole.tokens.indexOf(token)) + 1))
    })

    it('a batch is its rows, each with its own end', async () => {
      const prompts = ['Once upon a time', 'Hello', 'x']
      const pieces = prompts.map(() => '')
      const together = await model.generateBatch(prompts, { maxNewTokens: 12, onPiece: (row, piece) => (pieces[row] += piece) })
      expect(together.map((row) => row.text)).to.deep.equal(pieces)
      for (const [index, prompt] of prompts.entries()) {
        const [alone] = await model.generateBatch([prompt], { maxNewTokens: 12 })
        expect(together[index]).to.deep.equal(alone)
      }
      expect(await model.generateBatch([])).to.deep.equal([])
      // Each may be as long as its own prompt leaves room.
      const apart = await model.generateBatch(prompts, { maxNewTokens: [3, 0, 12] })
      expect(apart.map((row) => row.tokens.length)).to.deep.equal([3, 0, 12])
      for (const [index, room] of [3, 0, 12].entries()) expect(apart[index]?.tokens).to.deep.equal(together[index]?.tokens.slice(0, room))
      expect(apart[0]).to.deep.equal((await model.generateBatch(['Once upon a time'], { maxNewTokens: 3 }))[0])
      for (const wrong of [[3, 3], [3, 3, -1], [3, 3, 1.5], [3, 3, '4']]) await failsWith('FT_INVALID_ARGUMENT', () => model.generateBatch(prompts, { maxNewTokens: wrong as number[] }))
      expect(await collect(model.generate('a', { maxNewTokens: 0 }))).to.deep.equal([])
    })

    it('same seed, same text', async () => {
      const sample = { maxNewTokens: 12, temperature: 1.2, topK: 50, topP: 0.9, repetitionPenalty: 1.2 }
      const run = async (seed: number): Promise<string> => (await collect(model.generate('Once', { ...sample, seed }))).join('')
      expect(await run(1)).to.equal(await run(1))
      expect(await run(1)).to.not.equal(await run(2))
    })

    it('ends with the loop that reads it, and at an abort', async () => {
      for await (const piece of model.generate('Once', { maxNewTokens: 1000 })) {
        expect(piece).to.be.a('string')
        break
      }
      const controller = new AbortController()
      let seen = 0
      await failsWith('FT_CANCELLED', async () => {
        for await (const _ of model.generate([1, 2], { maxNewTokens: 1000, signal: controller.signal })) if (++seen === 3) controller.abort()
      })
      expect(seen).to.equal(3)
      await failsWith('FT_CANCELLED', () => model.forward([[1]], { signal: AbortSignal.abort() }))
    })

    it('without a tokenizer takes token ids only', async () => {
      const bare = temporaryFolder()
      fs.writeFileSync(path.join(bare, 'config.json'), JSON.stringify(tinyConfig))
      const other = await loadModel({ ...options, name: bare })
      const few = { maxNewTokens: 3, ignoreEos: true }
      const tokens = await collect(other.generate([1, 2, 3], few))
      expect(tokens).to.have.length(3)
      const rows = await other.generateBatch([[1, 2, 3], Int32Array.of(4)], few)
      expect(rows[0]).to.deep.equal({ text: '', tokens, finishReason: 'length' })
      expect(rows[1]?.tokens).to.have.length(3)
      const first = tokens[0] as number
      expect(await other.generateBatch([[1, 2, 3]], { ...few, stopTokenIds: [first] })).to.deep.equal([{ text: '', tokens: [first], finishReason: 'stop_token' }])
      await failsWith('FT_TOKENIZER_MISSING', () => other.generateBatch([[1, 2], 'text'], few))
      await failsWith('FT_TOKENIZER_MISSING', () => other.generateBatch([[1, 2]], { ...few, stop: 'x' }))
      await failsWith('FT_TOKENIZER_MISSING', () => other.generateBatch([[1, 2]], { ...few, onPiece: () => undefined }))
      await failsWith('FT_TOKENIZER_MISSING', () => collect(other.generate('text')))
      await failsWith('FT_TOKENIZER_MISSING', () => loadModelAndTokenizer({ ...options, name: bare }))
      await other.dispose()
    })
  })

  describe('training', () => {
    const text = [[5, 6, 7, 8, 9, 10, 11, 12], [9, 9, 8, 8]]

    it('steps with LoRA; the adapter folder gives the same numbers again', async () => {
      const adapter = await model.addAdapter({ r: 4, loraAlpha: 8, rankPattern: { v_proj: 2 }, seed: 1 })
      const optimizer = await createOptimizer(model, { learningRate: 2e-2 })
      expect(optimizer.numTrainableParameters).to.equal(adapter.numParameters)
      const first = await model.step([{ inputIds: text }], optimizer)
      for (let i = 0; i < 20; i++) await model.step([[text[0] as number[]], [text[1] as number[]]], optimizer)
      const last = await optimizer.step(text)
      expect(last.loss).to.be.below(first.loss)
      expect(optimizer.steps).to.equal(22)
      const saved = temporaryFolder()
      await adapter.save(saved)
      expect(fs.readdirSync(saved).sort()).to.deep.equal(['adapter_config.json', 'adapter_model.safetensors'])
      const config = await readAdapterConfig(saved)
      expect(config).to.include({ r: 4, loraAlpha: 8, baseModelNameOrPath: folder })
      expect(config.targetModules).to.deep.equal(['down_proj', 'gate_proj', 'k_proj', 'o_proj', 'q_proj', 'up_proj', 'v_proj'])
      const trained = await model.forward(text)
      await optimizer.dispose()
      await adapter.dispose()
      const base = await model.forward(text)
      expect(base.logits).to.not.deep.equal(trained.logits)
      const again = await model.loadAdapter(saved)
      expect((await model.forward(text)).logits).to.deep.equal(trained.logits)
      await model.setActiveAdapter(null)
      expect((await model.forward(text)).logits).to.deep.equal(base.logits)
      await again.dispose()

      // Merged weights compute what base and adapter do.
      const baseFolder = path.join(temporaryFolder(), 'base')
      await model.save(baseFolder)
      const merged = path.join(temporaryFolder(), 'merged')
      const result = await mergeAdapter({ model: baseFolder, adapter: saved, output: merged })
      expect(result.mergedModules).to.equal(14)
      const mergedModel = await loadModel({ ...options, init: 'pretrained', name: merged })
      const { logits } = await mergedModel.forward(text)
      for (let i = 0; i < logits.length; i += 7) expect(logits[i]).to.be.closeTo(trained.logits[i] as number, 1e-4)
      await mergedModel.dispose()
      await failsWith('FT_OUTPUT_EXISTS', () => mergeAdapter({ model: baseFolder, adapter: saved, output: merged }))
      await failsWith('FT_OUTPUT_EXISTS', () => mergeAdapter({ model: baseFolder, adapter: saved, output: baseFolder }))
    })

    it('an own objective: a Pass, its gradient, apply', async () => {
      const adapter = await model.addAdapter({ r: 4, seed: 1 })
      const optimizer = await createOptimizer(model)
      const before = await model.evaluate(text)
      for (let i = 0; i < 10; i++) {
        using pass = await model.forwardPass(text, { step: i })
        await pass.backward(pass.logprobs.map((value) => (value === 0 ? 0 : -0.1)))
        expect((await optimizer.apply({ learningRate: 1e-2 })).applied).to.equal(true)
      }
      expect((await model.evaluate(text)).lossSum).to.be.below(before.lossSum)
      await optimizer.dispose()
      await adapter.dispose()
    })

    it('gradients are the same bits whatever number of layers is computed again', async () => {
      await using other = await loadModel({ ...options, name: folder })
      await other.addAdapter({ r: 4, loraDropout: 0.2, seed: 1 })
      await using optimizer = await createOptimizer(other)
      const gradients = async (gradientCheckpointing: boolean | number) => {
        await optimizer.zeroGradients()
        await optimizer.accumulate(text, { step: 3, gradientCheckpointing })
        return await optimizer.gradients()
      }
      const expected = await gradients(false)
      for (const layers of [1, 2, 99, true]) expect(await gradients(layers)).to.deep.equal(expected)
      for (const wrong of [-1, 1.5, NaN, 'all']) await failsWith('FT_INVALID_ARGUMENT', () => optimizer.accumulate(text, { gradientCheckpointing: wrong as never }))
    })

    it('8-bit moments: every optimizer by its name learns alike, and its state goes to disk and back', async () => {
      const losses = new Map<string, number>()
      for (const type of ['adamw', 'adamw_8bit', 'paged_adamw_8bit'] as const) {
        await using other = await loadModel({ ...options, name: folder })
        await other.setTrainable()
        await using optimizer = await createOptimizer(other, { type, learningRate: 3e-3 })
        const before = (await optimizer.step(text)).loss
        for (let i = 0; i < 12; i++) await optimizer.step(text)
        const file = path.join(temporaryFolder(), `${type}.safetensors`)
        await optimizer.save(file)
        await optimizer.load(file)
        const { loss } = await optimizer.step(text)
        expect(loss).to.be.below(before - 0.1)
        losses.set(type, loss)
      }
      expect(losses.get('adamw_8bit')).to.be.closeTo(losses.get('adamw') as number, 0.05)
      expect(losses.get('paged_adamw_8bit')).to.equal(losses.get('adamw_8bit'))
    })

    it('all weights; the saved folder is a model with its tokenizer', async () => {
      await using other = await loadModel({ ...options, name: folder })
      await other.setTrainable()
      await using optimizer = await createOptimizer(other, { learningRate: 1e-3, weightDecay: 0.01 })
      expect(optimizer.numTrainableParameters).to.equal(other.info.numParameters)
      await optimizer.step(text)
      const saved = path.join(temporaryFolder(), 'full')
      await other.save(saved, { maxShardBytes: 60_000 })
      const names = fs.readdirSync(saved)
      expect(names).to.include.members(['config.json', 'model.safetensors.index.json', 'tokenizer.json', 'tokenizer_config.json'])
      const config = JSON.parse(fs.readFileSync(path.join(saved, 'config.json'), 'utf8')) as Record<string, unknown>
      expect(config.torch_dtype).to.equal('float32')
      const { model: copy, tokenizer } = await loadModelAndTokenizer({ ...options, init: 'pretrained', name: saved })
      expect((await copy.forward(text)).logits).to.deep.equal((await other.forward(text)).logits)
      expect(await copy.tokenizer()).to.equal(tokenizer)
      await copy.dispose()
      await failsWith('FT_OUTPUT_EXISTS', () => other.save(folder))
      const half = path.join(temporaryFolder(), 'bf16')
      await other.save(half, { dtype: 'bf16' })
      expect((JSON.parse(fs.readFileSync(path.join(half, 'config.json'), 'utf8')) as Record<string, unknown>).torch_dtype).to.equal('bfloat16')
      expect((await inspectModel(half)).weightBytes).to.equal(2 * other.info.numParameters)
    })

    it('an adapter of another rank says so, and does not blame the base', async () => {
      await using wide = await model.addAdapter({ r: 4, targetModules: ['q_proj'] })
      const saved = path.join(temporaryFolder(), 'wide')
      await wide.save(saved)
      await using narrow = await model.addAdapter({ r: 2, targetModules: ['q_proj'] })
      const other = await failsWith('FT_ADAPTER_MISMATCH', () => narrow.load(saved))
      expect(other.message).to.include('have rank 4 where this adapter has 2').and.not.include('was made for')
      expect(other.remedy).to.include('loadAdapter')
      const config = path.join(saved, 'adapter_config.json')
      fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace('"r": 4', '"r": 8'))
      const own = await failsWith('FT_ADAPTER_MISMATCH', () => model.loadAdapter(saved))
      expect(own.message).to.include('have rank 4 where its adapter_config.json says 8')
      const base = path.join(temporaryFolder(), 'base')
      await model.save(base)
      const merged = await failsWith('FT_ADAPTER_MISMATCH', () => mergeAdapter({ model: base, adapter: saved, output: path.join(temporaryFolder(), 'merged') }))
      expect(merged.message).to.include('have rank 4 where its adapter_config.json says 8')
      // Of other modules, though for the same base.
      await using values = await model.addAdapter({ r: 4, targetModules: ['v_proj'] })
      expect((await failsWith('FT_ADAPTER_MISMATCH', () => values.load(saved))).message).to.include('though it names that base')
    })

    it('target modules that do not exist, rank 0, an adapter of another base', async () => {
      await failsWith('FT_UNKNOWN_TARGET_MODULE', () => model.addAdapter({ targetModules: ['q_proj', 'query_key_value'] }))
      await failsWith('FT_INVALID_ARGUMENT', () => model.addAdapter({ r: 0 }))
      const foreign = fs.readdirSync(path.join(fixtures, 'golden')).map((name) => path.join(fixtures, 'golden', name, 'adapter'))
      const adapter = foreign.find((candidate) => fs.existsSync(candidate)) as string
      const own = await model.addAdapter({ targetModules: ['q_proj'] })
      const error = await failsWith('FT_ADAPTER_MISMATCH', () => model.loadAdapter(adapter))
      expect(error.message).to.contain((await readAdapterConfig(adapter)).baseModelNameOrPath).and.contain(folder)
      expect(error.message.match(/was made for/g)).to.have.length(1)
      expect(model.activeAdapter).to.equal(own)
      expect((await createOptimizer(model)).numTrainableParameters).to.equal(own.numParameters)
      await own.dispose()
      expect((await model.forward([[1, 2]])).shape).to.deep.equal([1, 2, vocabSize])
    })
  })

  it('refuses what is not its model, optimizer or adapter', async () => {
    for (const wrong of [undefined, null, {}, 'model', 3]) {
      await failsWith('FT_INVALID_ARGUMENT', () => createOptimizer(wrong as Model))
      await failsWith('FT_INVALID_ARGUMENT', () => model.step([[1, 2]], wrong as never))
      if (wrong !== null) await failsWith('FT_INVALID_ARGUMENT', () => model.setActiveAdapter(wrong as never))
      if (typeof wrong !== 'string') await failsWith(wrong !== null && typeof wrong === 'object' ? 'FT_MODEL_NOT_FOUND' : 'FT_INVALID_ARGUMENT', () => loadModel(wrong as never))
    }
  })

  it('refuses unknown options of every call, and names the nearest', async () => {
    await using adapter = await model.addAdapter({ r: 2 })
    await using optimizer = await createOptimizer(model)
    const folderOf = temporaryFolder()
    const calls: [string, string, (options: never) => unknown][] = [
      ['dtyp', 'dtype', (given) => loadModel({ ...options, name: folder, ...(given as object) })],
      ['devise', 'device', (given) => loadModelAndTokenizer({ ...options, name: folder, ...(given as object) })],
      ['thread', 'threads', (given) => new ModelLoader(given)],
      ['attn', '', (given) => new ModelLoader().load(folder, given)],
      ['max_new_tokens', 'maxNewTokens', (given) => model.generate('x', given)],
      ['temperatur', 'temperature', (given) => model.generate([1], given)],
      ['on_piece', 'onPiece', (given) => model.generateBatch([], given)],
      ['signals', 'signal', (given) => model.forward([[1]], given)],
      ['Seed', 'seed', (given) => model.forwardPass([[1, 2]], given)],
      ['lora_dropout', 'loraDropout', (given) => model.loadAdapter(folderOf, given)],
      ['dtypes', 'dtype', (given) => model.save(folderOf, given)],
      ['learning_rate', 'learningRate', (given) => model.step([[1, 2]], optimizer, given)],
      ['lr', '', (given) => optimizer.accumulate([[1, 2]], given)],
      ['seed', '', (given) => optimizer.apply(given)],
      ['ouput', 'output', (given) => mergeAdapter({ adapter: 'a', output: 'o', ...(given as object) })],
      ['rank', '', (given) => inspectModel(folder, given)],
      ['inits', 'init', (given) => inspectModel(folder, {}, given)],
    ]
    for (const [name, nearest, call] of calls) {
      const error = await failsWith('FT_INVALID_ARGUMENT', () => call({ [name]: 1 } as never))
      expect(error.message).to.include(`unknown option "${name}"`)
      expect(error.remedy).to.include(nearest === '' ? 'known: ' : `did you mean "${nearest}"?`)
    }
    expect(optimizer.steps).to.equal(0)
    expect(adapter.isDisposed).to.equal(false)
  })

  it('refuses misspelled options, and an optimizer of another model', async () => {
    for (const options of [{ rank: 4 }, { targetModules: 5 }, { targetModules: ['q_proj', 5] }, { excludeModules: {} }, null, 'x']) {
      await failsWith('FT_INVALID_ARGUMENT', () => model.addAdapter(options as never))
    }
    await using other = await loadModel({ name: folder, dtype: 'fp32', device: 'cpu', init: 'random' })
    await other.addAdapter({ r: 2 })
    for (const options of [{ type: 'adam' }, { lr: 1e-3 }, { learningRate: NaN }, { learningRate: -1 }, { betas: [0.9, 0.99] }, 'x']) {
      await failsWith('FT_INVALID_ARGUMENT', () => createOptimizer(other, options as never))
    }
    const optimizer = await createOptimizer(other)
    await failsWith('FT_HANDLE_MISUSE', () => model.step([[1, 2, 3]], optimizer))
    expect(optimizer.steps).to.equal(0)
    expect((await other.step([[1, 2, 3]], optimizer)).applied).to.equal(true)
    for (const stop of [5, ['a', 5], null]) await failsWith('FT_INVALID_ARGUMENT', () => model.generateBatch([[1]], { stop: stop as never, maxNewTokens: 1 }))
  })

  it('inspects from headers, and says what is wrong', async () => {
    const saved = path.join(temporaryFolder(), 'base')
    await model.save(saved)
    const inspection = await inspectModel(saved, { r: 4, targetModules: ['q_proj', 'v_proj'] })
    expect(inspection).to.include({ modelType: 'llama', vocabSize, numParameters: model.info.numParameters })
    expect(inspection.files).to.deep.equal(['model.safetensors'])
    expect(inspection.allLinear).to.have.length(14)
    expect(inspection.lora).to.include({ r: 4, modules: 4, trainableParameters: 2 * 4 * (32 + 32) + 2 * 4 * (32 + 16) })
    expect((await inspectModel(folder, {}, { init: 'random' })).numParameters).to.equal(model.info.numParameters)
    expect((await TargetModuleDetector.fromFolder(folder)).allLinear()).to.deep.equal(TargetModuleDetector.of(model).allLinear())
    const cases: [string, ErrorCode, () => void][] = [
      ['a truncated file', 'FT_SAFETENSORS', () => fs.truncateSync(path.join(saved, 'model.safetensors'), 1000)],
      ['a missing file', 'FT_MODEL_NOT_FOUND', () => fs.rmSync(path.join(saved, 'model.safetensors'))],
      ['an unknown family', 'FT_UNSUPPORTED_MODEL', () => fs.writeFileSync(path.join(saved, 'config.json'), JSON.stringify({ ...tinyConfig, model_type: 'mamba' }))],
      ['no config', 'FT_MODEL_NOT_FOUND', () => fs.rmSync(path.join(saved, 'config.json'))],
    ]
    for (const [what, code, damage] of cases) {
      damage()
      const error = await failsWith(code, () => inspectModel(saved))
      expect(error.remedy, what).to.not.equal('')
      await failsWith(code, () => loadModel({ ...options, init: 'pretrained', name: saved }))
    }
    await failsWith('FT_MODEL_NOT_FOUND', () => loadModel('./no/such/model'))
  })

  it('warns of tensors that the model has no place for, and only of those', async () => {
    const saved = path.join(temporaryFolder(), 'base')
    await model.save(saved)
    const weights = path.join(saved, 'model.safetensors')
    const original = fs.readFileSync(weights)
    const log = path.join(temporaryFolder(), 'load.log')
    const warnings = async (tensors: string[]): Promise<string> => {
      fs.rmSync(log, { force: true })
      setupLogger({ file: log, level: 'warn', console: false })
      fs.writeFileSync(weights, withTensors(original, tensors))
      await (await loadModel({ ...options, init: 'pretrained', name: saved })).dispose()
      return fs.readFileSync(log, 'utf8')
    }
    expect(await warnings(['model.layers.0.self_attn.rotary_emb.inv_freq'])).to.equal('')
    const bias = 'model.layers.0.self_attn.q_proj.bias'
    expect(await warnings([bias])).to.include(`1 tensor of the files has no place in a llama model`).and.include(bias)
    expect((await inspectModel(saved)).unusedTensors).to.deep.equal([bias])
    const many = Array.from({ length: 8 }, (_, i) => `model.layers.${i}.extra.weight`)
    expect(await warnings(many)).to.include('model.layers.4.extra.weight and 3 more').and.not.include('model.layers.5.extra.weight')
    setupLogger({ level: 'error', console: false })
  })

  it('ModelLoader remembers options; use after dispose is an error', async () => {
    const loader = new ModelLoader(options)
    const { model: other, tokenizer } = await loader.loadWithTokenizer(folder)
    expect(other.info.dtype).to.equal('fp32')
    expect(tokenizer.vocabSize).to.be.at.most(vocabSize)
    await other.dispose()
    await other.dispose()
    await failsWith('FT_HANDLE_DISPOSED', () => other.forward([[1]]))
    expect(other.info.vocabSize).to.equal(vocabSize)
    expect(await loader.load(folder).then((loaded) => loaded.dispose())).to.equal(undefined)
    expect(new FineTuneError('x', { code: 'FT_INTERNAL' })).to.be.instanceOf(Error)
  })
})
