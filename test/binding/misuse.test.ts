// No misuse of the addon crashes the process: every wrong argument, receiver and order is a typed error.
import { expect } from 'chai'
import path from 'node:path'
import { native, type NativeAdapter, type NativeBatch, type NativeModel, type NativeOptimizer } from '../../lib/native/binding.js'
import { adamw, failsWith, lora, rows, stepOptions, temporaryFolder, tinyFolder, tinyModel } from './support.js'

/** A value of the wrong type for a typed parameter. */
function wrong<T>(value: unknown): T {
  return value as T
}

const garbage: unknown[] = [undefined, null, 0, -1, NaN, Infinity, 1.5, '', 'x', true, Symbol('s'), 10n, () => 1, [], [1, 2], {}, new Map(), new Date(), new Float32Array(3), new ArrayBuffer(8), new Proxy({}, {})]

describe('misuse of the addon', () => {
  let model: NativeModel
  let adapter: NativeAdapter
  let optimizer: NativeOptimizer

  before(async () => {
    model = await tinyModel()
    adapter = await model.addAdapter(lora)
    optimizer = await native().createOptimizer(model, adamw)
  })
  after(() => {
    optimizer.dispose()
    adapter.dispose()
    model.dispose()
  })

  describe('wrong types', () => {
    it('are refused by every method that takes a batch', async () => {
      for (const value of garbage) {
        for (const call of [
          () => model.forward(wrong(value)),
          () => model.logprobs(wrong(value)),
          () => model.evaluate(wrong(value)),
          () => model.forwardPass(wrong(value), { seed: 1, step: 0, gradientCheckpointing: false }),
          () => optimizer.step(wrong(value), stepOptions),
          () => optimizer.accumulate(wrong(value), stepOptions),
        ]) {
          await failsWith('FT_INVALID_ARGUMENT', call)
        }
      }
    })

    it('are refused in every field of a batch', async () => {
      const arrays = garbage.filter((value) => value !== undefined && value !== null)
      for (const value of arrays) {
        for (const field of ['inputIds', 'labels', 'cuSeqlens', 'rowIds'] as const) {
          await failsWith('FT_INVALID_ARGUMENT', () => model.forward(wrong<NativeBatch>({ ...rows(4), [field]: value })))
        }
      }
      for (const array of [new Int8Array(4), new Uint32Array(4), new Float64Array(4), new BigInt64Array(4), new DataView(new ArrayBuffer(16)), Buffer.from([1, 2, 3, 4])]) {
        await failsWith('FT_INVALID_ARGUMENT', () => model.forward(wrong<NativeBatch>({ ...rows(4), inputIds: array })))
      }
    })

    it('are refused as options', async () => {
      for (const value of garbage) {
        await failsWith('FT_INVALID_ARGUMENT', () => native().loadModel(wrong(value)))
        await failsWith('FT_INVALID_ARGUMENT', () => model.addAdapter(wrong(value)))
        await failsWith('FT_INVALID_ARGUMENT', () => model.startGeneration([Int32Array.of(1)], wrong(value)))
        await failsWith('FT_INVALID_ARGUMENT', () => native().createOptimizer(model, wrong(value)))
        await failsWith('FT_INVALID_ARGUMENT', () => optimizer.apply(wrong(value)))
        await failsWith('FT_INVALID_ARGUMENT', () => native().mergeAdapter(wrong(value)))
        if (typeof value !== 'string' || value === '') {
          await failsWith('FT_INVALID_ARGUMENT', () => native().inspectModel(wrong(value)))
          await failsWith('FT_INVALID_ARGUMENT', () => native().readSafetensorsHeader(wrong(value)))
          await failsWith('FT_INVALID_ARGUMENT', () => native().lockFolder(wrong(value)))
          await failsWith('FT_INVALID_ARGUMENT', () => model.saveWeights(wrong(value), { maxShardBytes: 1 }))
          await failsWith('FT_INVALID_ARGUMENT', () => adapter.save(wrong(value)))
          await failsWith('FT_INVALID_ARGUMENT', () => optimizer.load(wrong(value)))
        }
        if (value !== 1) await failsWith('FT_INVALID_ARGUMENT', () => native().setNumThreads(wrong(value)))
      }
    })

    it('are refused in numbers: not finite, fractions, out of range', async () => {
      for (const step of [NaN, Infinity, -1, 1.5, 2 ** 53, '1', null]) {
        await failsWith('FT_INVALID_ARGUMENT', () => optimizer.step([rows(4)], { ...stepOptions, step: wrong(step) }))
      }
      for (const learningRate of [NaN, Infinity, -1, '1', null]) {
        await failsWith('FT_INVALID_ARGUMENT', () => optimizer.step([rows(4)], { ...stepOptions, learningRate: wrong(learningRate) }))
      }
      for (const r of [0, -1, 1.5, NaN, 2 ** 31, 2 ** 53]) {
        await failsWith('FT_INVALID_ARGUMENT', () => model.addAdapter({ ...lora, targets: [{ module: 'model.layers.0.self_attn.q_proj', r, scale: 1 }] }))
      }
      for (const dropout of [-0.1, 1, 2, NaN]) await failsWith('FT_INVALID_ARGUMENT', () => model.addAdapter({ ...lora, dropout }))
      for (const beta1 of [-1, 1, NaN]) await failsWith('FT_INVALID_ARGUMENT', () => native().createOptimizer(model, { ...adamw, beta1 }))
    })

    it('names the argument', async () => {
      const error = await failsWith('FT_INVALID_ARGUMENT', () => optimizer.step([rows(4), wrong({ ...rows(4), labels: 'x' })], stepOptions))
      expect(error.message).to.equal('batches[1].labels must be an Int32Array, got a string')
    })
  })

  describe('wrong contents of a batch', () => {
    const cases: Record<string, Partial<NativeBatch>> = {
      'ids outside the vocabulary': { inputIds: Int32Array.of(1, 2, 3, 61) },
      'negative ids': { inputIds: Int32Array.of(1, 2, 3, -1) },
      'labels outside the vocabulary': { labels: Int32Array.of(1, 2, 3, 61) },
      'labels below -100': { labels: Int32Array.of(1, 2, 3, -101) },
      'labels of another length': { labels: Int32Array.of(1, 2, 3) },
      'no rows': { cuSeqlens: Int32Array.of(0) },
      'no cuSeqlens': { cuSeqlens: new Int32Array(0) },
      'rows that do not start at 0': { cuSeqlens: Int32Array.of(1, 4) },
      'rows that end early': { cuSeqlens: Int32Array.of(0, 3) },
      'rows that end late': { cuSeqlens: Int32Array.of(0, 5) },
      'rows that go back': { cuSeqlens: Int32Array.of(0, 3, 2, 4) },
      'negative offsets': { cuSeqlens: Int32Array.of(0, -1, 4) },
      'row ids of another length': { rowIds: Int32Array.of(0, 1) },
      'nothing': { inputIds: new Int32Array(0), labels: new Int32Array(0), cuSeqlens: Int32Array.of(0, 0) },
    }
    for (const [name, change] of Object.entries(cases)) {
      it(name, async () => {
        await failsWith('FT_INVALID_ARGUMENT', () => optimizer.step([{ ...rows(4), ...change }], stepOptions))
        await failsWith('FT_INVALID_ARGUMENT', () => model.logprobs({ ...rows(4), ...change }))
      })
    }

    it('leaves a model that still works', async () => {
      const logits = await model.forward(rows(4))
      expect(logits.length).to.equal(4 * 61)
      expect(logits.every(Number.isFinite)).to.equal(true)
    })
  })

  describe('detached and shared buffers', () => {
    it('a detached input is refused', async () => {
      const batch = rows(4)
      structuredClone(batch.inputIds.buffer, { transfer: [batch.inputIds.buffer as ArrayBuffer] })
      const error = await failsWith('FT_INVALID_ARGUMENT', () => model.forward(batch))
      expect(error.message).to.contain('detached')
    })

    it('a buffer detached while the call is pending does not matter', async () => {
      const expected = await model.forward(rows(4))
      const batch = rows(4)
      const pending = model.forward(batch)
      structuredClone(batch.inputIds.buffer, { transfer: [batch.inputIds.buffer as ArrayBuffer] })
      expect(await pending).to.deep.equal(expected)
    })

    it('a getter that detaches another field is refused', async () => {
      const batch = rows(4)
      const hostile = {
        get inputIds() {
          structuredClone(batch.cuSeqlens.buffer, { transfer: [batch.cuSeqlens.buffer as ArrayBuffer] })
          return batch.inputIds
        },
        cuSeqlens: batch.cuSeqlens,
      }
      await failsWith('FT_INVALID_ARGUMENT', () => model.forward(hostile))
    })

    it('shared memory is copied', async () => {
      const shared = new Int32Array(new SharedArrayBuffer(16))
      shared.set([1, 2, 3, 4])
      const logits = await model.forward({ inputIds: shared, cuSeqlens: Int32Array.of(0, 4) })
      expect(logits).to.deep.equal(await model.forward({ inputIds: Int32Array.of(1, 2, 3, 4), cuSeqlens: Int32Array.of(0, 4) }))
    })

    it('a throwing getter rejects with what it throws', async () => {
      const problem = new Error('from the getter')
      const batch = wrong<NativeBatch>({ get inputIds() { throw problem }, cuSeqlens: Int32Array.of(0, 1) })
      expect(await model.forward(batch).catch((error: unknown) => error)).to.equal(problem)
    })

    it('a result may be transferred or kept after dispose', async () => {
      const other = await tinyModel()
      const logits = await other.forward(rows(4))
      other.dispose()
      await native().idle()
      expect(logits.every(Number.isFinite)).to.equal(true)
      const large = await model.forward(rows(...Array.from({ length: 60 }, () => 100)))
      expect(large.byteLength).to.be.greaterThan(1 << 20)
      expect(large.every(Number.isFinite)).to.equal(true)
    })
  })

  describe('wrong receivers and handles', () => {
    it('methods refuse what is not their handle', async () => {
      const forward = model.forward
      const receivers: unknown[] = [undefined, null, {}, [], 1, adapter, optimizer, native(), Object.create(model), new Proxy(model, {}), Object.getPrototypeOf(model)]
      for (const receiver of receivers) await failsWith('FT_HANDLE_MISUSE', () => Reflect.apply(forward, receiver, [rows(4)]))
      await failsWith('FT_HANDLE_MISUSE', () => Reflect.apply(model.info, adapter, []))
      await failsWith('FT_HANDLE_MISUSE', () => Reflect.apply(adapter.tensors, model, []))
      await failsWith('FT_HANDLE_MISUSE', () => Reflect.apply(model.dispose, optimizer, []))
    })

    it('arguments that are other handles are refused', async () => {
      await failsWith('FT_HANDLE_MISUSE', () => native().createOptimizer(wrong(adapter), adamw))
      await failsWith('FT_HANDLE_MISUSE', () => native().createOptimizer(wrong({}), adamw))
      await failsWith('FT_HANDLE_MISUSE', () => model.setActiveAdapter(wrong(model)))
      await failsWith('FT_HANDLE_MISUSE', () => model.forward(rows(4), wrong(model)))
      await failsWith('FT_HANDLE_MISUSE', () => model.forward(rows(4), wrong({ cancel() {} })))
    })

    it('an adapter of another model is refused', async () => {
      const other = await tinyModel()
      await failsWith('FT_HANDLE_MISUSE', () => other.setActiveAdapter(adapter))
      other.dispose()
    })

    it('handles are not made from JavaScript', async () => {
      const { constructor } = Object.getPrototypeOf(model) as { constructor: new () => object }
      await failsWith('FT_HANDLE_MISUSE', () => new constructor())
      class Derived extends constructor {}
      await failsWith('FT_HANDLE_MISUSE', () => new Derived())
      expect(() => Reflect.apply(constructor, undefined, [])).to.throw()
    })

    it('methods survive a changed prototype', async () => {
      const other = await tinyModel()
      const { info } = other
      Object.setPrototypeOf(other, null)
      expect(Reflect.apply(info, other, []).vocabSize).to.equal(61)
      Reflect.apply(model.dispose, other, [])
    })
  })

  describe('order of calls', () => {
    it('use after dispose is refused; dispose is idempotent', async () => {
      const other = await tinyModel()
      const otherAdapter = await other.addAdapter(lora)
      const otherOptimizer = await native().createOptimizer(other, adamw)
      const generation = await other.startGeneration([Int32Array.of(1)], { maxNewTokens: 3, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 0, stopTokenIds: new Int32Array(0), useCache: true })
      const pass = await other.forwardPass(rows(4), { seed: 1, step: 0, gradientCheckpointing: false })
      for (const handle of [pass, generation, otherOptimizer, otherAdapter, other]) {
        handle.dispose()
        handle.dispose()
      }
      await failsWith('FT_HANDLE_DISPOSED', () => other.info())
      await failsWith('FT_HANDLE_DISPOSED', () => other.forward(rows(4)))
      await failsWith('FT_HANDLE_DISPOSED', () => other.addAdapter(lora))
      await failsWith('FT_HANDLE_DISPOSED', () => otherAdapter.tensors())
      await failsWith('FT_HANDLE_DISPOSED', () => otherAdapter.save('/nowhere'))
      await failsWith('FT_HANDLE_DISPOSED', () => otherOptimizer.step([rows(4)], stepOptions))
      await failsWith('FT_HANDLE_DISPOSED', () => otherOptimizer.numTrainableParameters())
      await failsWith('FT_HANDLE_DISPOSED', () => pass.backward(new Float32Array(4)))
      await failsWith('FT_HANDLE_DISPOSED', () => generation.next())
      await failsWith('FT_HANDLE_DISPOSED', () => generation.finish(0))
      await failsWith('FT_HANDLE_DISPOSED', () => native().createOptimizer(other, adamw))
      await failsWith('FT_HANDLE_DISPOSED', () => model.setActiveAdapter(otherAdapter))
    })

    it('calls that are pending at dispose finish', async () => {
      const other = await tinyModel()
      const pending = [other.forward(rows(50)), other.forward(rows(20)), other.evaluate(rows(30))] as const
      other.dispose()
      const [first, second, evaluation] = await Promise.all(pending)
      expect(first.length).to.equal(50 * 61)
      expect(second.length).to.equal(20 * 61)
      expect(evaluation.tokens).to.equal(30)
    })

    it('a getter that disposes the model in the middle of a call is harmless', async () => {
      const other = await tinyModel()
      const batch = rows(4)
      const hostile: NativeBatch = {
        get inputIds() {
          other.dispose()
          return batch.inputIds
        },
        cuSeqlens: batch.cuSeqlens,
      }
      expect((await other.forward(hostile)).length).to.equal(4 * 61)
      await failsWith('FT_HANDLE_DISPOSED', () => other.forward(batch))
    })

    it('children outlive their model in every order', async () => {
      const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
      for (const order of orders) {
        const other = await tinyModel()
        const handles = [other, await other.addAdapter(lora), await native().createOptimizer(other, adamw)]
        for (const index of order) handles[index]?.dispose()
        await native().idle()
      }
    })

    it('a child works after its model is disposed', async () => {
      const other = await tinyModel()
      const otherAdapter = await other.addAdapter(lora)
      const otherOptimizer = await native().createOptimizer(other, adamw)
      other.dispose()
      const result = await otherOptimizer.step([rows(8)], stepOptions)
      expect(result.applied).to.equal(true)
      otherAdapter.dispose()
      expect((await otherOptimizer.step([rows(8)], { ...stepOptions, step: 1 })).loss).to.be.a('number')
      otherOptimizer.dispose()
    })

    it('one Pass is live a model, and runs backward once', async () => {
      const options = { seed: 1, step: 0, gradientCheckpointing: false }
      const pass = await model.forwardPass(rows(4), options)
      await failsWith('FT_HANDLE_MISUSE', () => model.forwardPass(rows(4), options))
      await failsWith('FT_INVALID_ARGUMENT', () => pass.backward(new Float32Array(3)))
      await failsWith('FT_INVALID_ARGUMENT', () => pass.backward(wrong([1, 2, 3, 4])))
      await pass.backward(new Float32Array(4).fill(-0.25))
      await failsWith('FT_HANDLE_DISPOSED', () => pass.backward(new Float32Array(4))) // it is over
      pass.dispose()
      const next = await model.forwardPass(rows(4), options)
      next.dispose()
      await optimizer.zeroGradients()
    })

    it('an optimizer needs something trainable', async () => {
      const other = await tinyModel()
      await failsWith('FT_HANDLE_MISUSE', () => native().createOptimizer(other, adamw))
      other.dispose()
    })
  })

  describe('generation', () => {
    const options = { maxNewTokens: 3, temperature: 0, topK: 0, topP: 1, repetitionPenalty: 1, seed: 0, stopTokenIds: new Int32Array(0), useCache: true }

    it('refuses wrong prompts and options', async () => {
      await failsWith('FT_INVALID_ARGUMENT', () => model.startGeneration([], options))
      await failsWith('FT_INVALID_ARGUMENT', () => model.startGeneration([new Int32Array(0)], options))
      await failsWith('FT_INVALID_ARGUMENT', () => model.startGeneration([Int32Array.of(61)], options))
      await failsWith('FT_INVALID_ARGUMENT', () => model.startGeneration(wrong([[1, 2]]), options))
      for (const change of [{ maxNewTokens: -1 }, { maxNewTokens: 1.5 }, { temperature: -1 }, { temperature: NaN }, { topK: -1 }, { topP: 0 }, { topP: 1.5 }, { repetitionPenalty: 0 }, { stopTokenIds: [2] }]) {
        await failsWith('FT_INVALID_ARGUMENT', () => model.startGeneration([Int32Array.of(1)], wrong({ ...options, ...change })))
      }
    })

    it('refuses rows that are not there', async () => {
      const generation = await model.startGeneration([Int32Array.of(1)], options)
      for (const row of [-1, 1, 0.5, NaN]) await failsWith('FT_INVALID_ARGUMENT', () => generation.finish(row))
      generation.finish(0)
      expect((await generation.next()).done).to.equal(true)
      generation.dispose()
    })
  })

  describe('files', () => {
    it('what is not there is a typed error', async () => {
      const missing = path.join(temporaryFolder(), 'missing')
      await failsWith('FT_MODEL_NOT_FOUND', () => native().inspectModel(missing))
      await failsWith('FT_MODEL_NOT_FOUND', () => native().loadModel({ path: missing, dtype: 'fp32', device: 'cpu', init: 'random', seed: 0 }))
      await failsWith('FT_MODEL_NOT_FOUND', () => native().inspectModel(temporaryFolder()))
      await failsWith('FT_STORAGE', () => adapter.save(path.join(missing, 'adapter.safetensors')))
      await failsWith('FT_STORAGE', () => native().lockFolder(missing))
      expect((await native().loadModel({ path: tinyFolder(), dtype: 'fp32', device: 'cpu', init: 'pretrained', seed: 0 }).catch((error: { code: string }) => error.code))).to.be.oneOf(['FT_MODEL_NOT_FOUND', 'FT_MISSING_SHARD'])
    })

    it('a device that is not there is a typed error', async () => {
      const { cuda, mps } = native().buildInfo()
      for (const device of [...(cuda ? [] : ['cuda', 'cuda:0']), ...(mps ? [] : ['mps']), 'cuda:99']) {
        await failsWith('FT_DEVICE_UNAVAILABLE', () => native().loadModel({ path: tinyFolder(), dtype: 'fp32', device, init: 'random', seed: 0 }))
      }
      await failsWith('FT_INVALID_ARGUMENT', () => native().loadModel({ path: tinyFolder(), dtype: 'fp32', device: 'toaster', init: 'random', seed: 0 }))
    })

    it('a model that cannot fit is out of memory, not a crash', async () => {
      const folder = tinyFolder({ vocab_size: 2_000_000, hidden_size: 2 ** 17, num_attention_heads: 64, num_key_value_heads: 64, head_dim: 128 })
      const error = await failsWith('FT_OUT_OF_MEMORY', () => native().loadModel({ path: folder, dtype: 'fp32', device: 'cpu', init: 'random', seed: 0 }))
      expect(error.remedy).to.not.equal('')
    })
  })
})
