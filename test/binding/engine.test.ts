// The path a program takes through the addon: load, forward, train, save, load again, generate.
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { native, type NativeGenerateOptions, type NativeModel } from '../../lib/native/binding.js'
import { adamw, failsWith, lora, rows, slowRows, stepOptions, temporaryFolder, tinyConfig, tinyFolder, tinyModel } from './support.js'

const greedy: NativeGenerateOptions = { maxNewTokens: 8, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 0, stopTokenIds: new Int32Array(0), useCache: true }

describe('the engine through the addon', () => {
  let model: NativeModel
  before(async () => {
    model = await tinyModel()
  })
  after(() => model.dispose())

  it('says what it loaded', () => {
    const info = model.info()
    expect(info).to.include({ modelType: 'llama', vocabSize: 61, hiddenSize: 32, numHiddenLayers: 2, numKeyValueHeads: 2, dtype: 'fp32', device: 'cpu', tieWordEmbeddings: false })
    expect(info.linearModules.map((module) => module.name)).to.deep.equal([
      ...[0, 1].flatMap((layer) => ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.o_proj', 'mlp.gate_proj', 'mlp.up_proj', 'mlp.down_proj'].map((name) => `model.layers.${layer}.${name}`)),
      'lm_head',
    ])
    const perLayer = 32 * 32 + 2 * 32 * 16 + 32 * 32 + 3 * 32 * 48 + 2 * 32
    expect(info.numParameters).to.equal(2 * 61 * 32 + 2 * perLayer + 32)
    expect(info.weightBytes).to.equal(4 * info.numParameters)
    expect(info.eosTokenIds).to.deep.equal([2])
  })

  it('rows of a batch do not see each other', async () => {
    const together = await model.forward({ inputIds: Int32Array.of(1, 2, 3, 4, 5), cuSeqlens: Int32Array.of(0, 3, 5) })
    const first = await model.forward({ inputIds: Int32Array.of(1, 2, 3), cuSeqlens: Int32Array.of(0, 3) })
    const second = await model.forward({ inputIds: Int32Array.of(4, 5), cuSeqlens: Int32Array.of(0, 2) })
    const apart = Float32Array.of(...first, ...second)
    expect(together.length).to.equal(5 * 61)
    for (let i = 0; i < together.length; i++) expect(together[i]).to.be.closeTo(apart[i] as number, 1e-5)
  })

  it('log-probabilities are those of the logits', async () => {
    const batch = { inputIds: Int32Array.of(5, 9, 11), labels: Int32Array.of(5, -100, 11), cuSeqlens: Int32Array.of(0, 3) }
    const logits = await model.forward(batch)
    const logprobs = await model.logprobs(batch)
    const row = Array.from(logits.subarray(61, 122))
    const expected = (row[11] as number) - Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0))
    expect(Array.from(logprobs.subarray(0, 2))).to.deep.equal([0, 0])
    expect(logprobs[2]).to.be.closeTo(expected, 1e-5)
    const evaluation = await model.evaluate(batch)
    expect(evaluation).to.include({ supervisedTokens: 1, tokens: 3 })
    expect(evaluation.lossSum).to.be.closeTo(-expected, 1e-5)
  })

  it('learns a row with LoRA, saves, and loads to the same numbers', async () => {
    const adapter = await model.addAdapter(lora)
    const before = await model.forward(rows(16))
    const optimizer = await native().createOptimizer(model, adamw)
    const losses: number[] = []
    for (let step = 0; step < 30; step++) {
      const result = await optimizer.step([rows(16)], { ...stepOptions, step, learningRate: 5e-2 })
      expect(result).to.include({ applied: true, skipped: null, tokens: 16, supervisedTokens: 15, lossScale: 1 })
      losses.push(result.loss)
    }
    expect(losses.at(-1)).to.be.below((losses[0] as number) - 0.1)
    const trained = await model.forward(rows(16))
    expect(trained).to.not.deep.equal(before)

    const file = path.join(temporaryFolder(), 'adapter_model.safetensors')
    await adapter.save(file)
    const header = native().readSafetensorsHeader(file)
    expect(header.tensors.map((tensor) => tensor.name).sort()).to.deep.equal(adapter.tensors().map((tensor) => tensor.name).sort())
    expect(header.tensors.every((tensor) => tensor.dtype === 'F32')).to.equal(true)
    expect(header.tensors.find((tensor) => tensor.name === 'base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')?.shape).to.deep.equal([4, 32])

    await model.setActiveAdapter(null)
    expect(await model.forward(rows(16))).to.deep.equal(before)
    await model.setActiveAdapter(adapter)
    expect(await model.forward(rows(16))).to.deep.equal(trained)

    const other = await tinyModel()
    const copy = await other.addAdapter({ ...lora, seed: 99 })
    await copy.load(file)
    expect(await other.forward(rows(16))).to.deep.equal(trained)
    await failsWith('FT_ADAPTER_MISMATCH', async () => {
      const third = await other.addAdapter({ ...lora, targets: [{ module: 'model.layers.0.self_attn.q_proj', r: 8, scale: 2 }] })
      await third.load(file)
    })
    for (const handle of [optimizer, adapter, copy, other]) handle.dispose()
    await native().idle()
  })

  it('a Pass gives the gradients of the mean loss', async () => {
    const adapter = await model.addAdapter(lora)
    const optimizer = await native().createOptimizer(model, adamw)
    const batch = rows(9, 5)
    const direct = await optimizer.accumulate([batch], stepOptions)
    const expected = await optimizer.gradients()
    await optimizer.zeroGradients()
    const pass = await model.forwardPass(batch, { seed: 1, step: 0, gradientCheckpointing: false })
    expect(-pass.logprobs.reduce((a, b) => a + b, 0) / 12).to.be.closeTo(direct.loss, 1e-5)
    await pass.backward(new Float32Array(14).fill(-1 / 12))
    pass.dispose()
    const actual = await optimizer.gradients()
    expect(Object.keys(actual)).to.deep.equal(Object.keys(expected))
    for (const [name, gradient] of Object.entries(expected)) {
      const other = actual[name]
      expect(other?.shape).to.deep.equal(gradient.shape)
      for (let i = 0; i < gradient.data.length; i++) expect(other?.data[i]).to.be.closeTo(gradient.data[i] as number, 1e-5)
    }
    expect((await optimizer.apply({ learningRate: 1e-3, maxGradNorm: 1 })).applied).to.equal(true)
    optimizer.dispose()
    adapter.dispose()
    await native().idle()
  })

  it('optimizer state continues where it was', async () => {
    const run = async (pause: boolean): Promise<number[]> => {
      let current = await tinyModel()
      let adapter = await current.addAdapter({ ...lora, dropout: 0.1 })
      let optimizer = await native().createOptimizer(current, adamw)
      const losses: number[] = []
      for (let step = 0; step < 6; step++) {
        if (pause && step === 3) {
          const folder = temporaryFolder()
          await adapter.save(path.join(folder, 'a.safetensors'))
          await optimizer.save(path.join(folder, 'o.safetensors'))
          for (const handle of [optimizer, adapter, current]) handle.dispose()
          current = await tinyModel()
          adapter = await current.addAdapter({ ...lora, dropout: 0.1, seed: 1234 })
          optimizer = await native().createOptimizer(current, adamw)
          await adapter.load(path.join(folder, 'a.safetensors'))
          await optimizer.load(path.join(folder, 'o.safetensors'))
        }
        losses.push((await optimizer.step([rows(12), rows(7)], { ...stepOptions, step })).loss)
      }
      for (const handle of [optimizer, adapter, current]) handle.dispose()
      return losses
    }
    expect(await run(true)).to.deep.equal(await run(false))
  })

  it('full fine-tuning saves weights that load again', async () => {
    const other = await tinyModel()
    await other.setTrainable()
    const optimizer = await native().createOptimizer(other, adamw)
    expect(optimizer.numTrainableParameters()).to.equal(other.info().numParameters)
    for (let step = 0; step < 3; step++) await optimizer.step([rows(16)], { ...stepOptions, step, learningRate: 1e-3 })
    const expected = await other.forward(rows(16))
    for (const [maxShardBytes, files] of [[1e9, ['model.safetensors']], [40_000, null]] as const) {
      const folder = temporaryFolder()
      await other.saveWeights(folder, { maxShardBytes })
      fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(tinyConfig))
      const names = fs.readdirSync(folder).filter((name) => name.endsWith('.safetensors'))
      if (files) expect(names).to.deep.equal(files)
      else expect(names.length).to.be.greaterThan(1)
      expect((await native().inspectModel(folder)).numParameters).to.equal(other.info().numParameters)
      const copy = await native().loadModel({ path: folder, dtype: 'fp32', device: 'cpu', init: 'pretrained', seed: 0 })
      expect(await copy.forward(rows(16))).to.deep.equal(expected)
      copy.dispose()
    }
    optimizer.dispose()
    other.dispose()
  })

  it('generates the same with and without a cache, row by row or together', async () => {
    const prompts = [Int32Array.of(1, 5, 9), Int32Array.of(7), Int32Array.of(3, 3, 3, 3, 3)]
    const run = async (chosen: Int32Array[], options: Partial<NativeGenerateOptions>): Promise<number[][]> => {
      const generation = await model.startGeneration(chosen, { ...greedy, ...options })
      const produced: number[][] = chosen.map(() => [])
      for (let done = false; !done; ) {
        const next = await generation.next()
        done = next.done
        next.tokens.forEach((token, row) => {
          if (token >= 0) produced[row]?.push(token)
        })
      }
      generation.dispose()
      return produced
    }
    const together = await run(prompts, {})
    expect(together.map((row) => row.length)).to.deep.equal([8, 8, 8])
    expect(await run(prompts, { useCache: false })).to.deep.equal(together)
    for (const [index, prompt] of prompts.entries()) expect(await run([prompt], {})).to.deep.equal([together[index]])
    const stop = together[0]?.[2] as number
    expect((await run([prompts[0] as Int32Array], { stopTokenIds: Int32Array.of(stop) }))[0]).to.deep.equal(together[0]?.slice(0, (together[0].indexOf(stop)) + 1))
    const sampled = { temperature: 0.9, topK: 20, topP: 0.9, seed: 11 }
    expect(await run(prompts, sampled)).to.deep.equal(await run(prompts, sampled))
    expect(await run(prompts, { ...sampled, temperature: 5, topK: 0, topP: 1 })).to.not.deep.equal(await run(prompts, { ...sampled, temperature: 5, topK: 0, topP: 1, seed: 12 }))
  })

  it('the event loop goes on during a step', async () => {
    const adapter = await model.addAdapter(lora)
    const optimizer = await native().createOptimizer(model, adamw)
    let ticks = 0
    const timer = setInterval(() => (ticks += 1), 5)
    await optimizer.step([slowRows(), slowRows()], stepOptions)
    clearInterval(timer)
    expect(ticks).to.be.greaterThan(2)
    optimizer.dispose()
    adapter.dispose()
  })

  it('a cancelled step rejects and leaves the weights alone', async () => {
    const adapter = await model.addAdapter(lora)
    const optimizer = await native().createOptimizer(model, adamw)
    const before = await model.forward(rows(8))
    const cancel = native().createCancel()
    const step = optimizer.step([slowRows(), slowRows(), slowRows(), slowRows()], stepOptions, cancel)
    cancel.cancel()
    await failsWith('FT_CANCELLED', () => step)
    expect(await model.forward(rows(8))).to.deep.equal(before)
    const result = await optimizer.step([rows(8)], stepOptions)
    expect(result.applied).to.equal(true)
    optimizer.dispose()
    adapter.dispose()
  })

  it('reports progress, and an exception in the callback cancels the load', async () => {
    const folder = temporaryFolder()
    await model.saveWeights(folder, { maxShardBytes: 1e9 })
    fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(tinyConfig))
    const options = { path: folder, dtype: 'fp32', device: 'cpu', init: 'pretrained', seed: 0 } as const
    const seen: [number, number][] = []
    const loaded = await native().loadModel(options, (done, total) => seen.push([done, total]))
    loaded.dispose()
    expect(seen.length).to.be.greaterThan(0)
    expect(seen.at(-1)?.[0]).to.equal(seen.at(-1)?.[1])
    const problem = new Error('from the callback')
    const outcome: unknown = await native().loadModel(options, () => { throw problem }).catch((error: unknown) => error)
    expect(outcome).to.equal(problem)
  })

  it('locks a folder once', async () => {
    const folder = temporaryFolder()
    const lock = native().lockFolder(folder)
    await failsWith('FT_OUTPUT_LOCKED', () => native().lockFolder(folder))
    lock.release()
    lock.release()
    native().lockFolder(folder).release()
  })

  it('describes a folder from config.json alone', () => {
    const info = native().inspectConfig(tinyFolder({ tie_word_embeddings: true }))
    expect(info.linearModules.some((module) => module.name === 'lm_head')).to.equal(false)
    expect(info.embeddingModules.map(({ name, kind }) => [name, kind])).to.deep.equal([['model.embed_tokens', 'embedding'], ['lm_head', 'head']])
    expect(native().supportedModelTypes()).to.include.members(['llama', 'mistral', 'qwen2', 'qwen3'])
    expect(native().memory().rssBytes).to.be.greaterThan(1e6)
    expect(native().buildInfo().libtorch).to.match(/^2\.\d+/)
  })
})
