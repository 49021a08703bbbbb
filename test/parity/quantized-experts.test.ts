// Experts kept in 4 and 8 bits against plain ones of the same values, which scripts/quantization says: read from mxfp4 and from folders with a
// quantized tensor for each of them, and quantized while they are loaded; trained, merged, written.
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { createOptimizer, exportModel, inspectModel, loadModel, mergeAdapter, type LoadModelOptions } from '../../lib/models/index.js'
import { weightBytesAs } from '../../lib/models/quantization.js'
import { native } from '../../lib/native/binding.js'
import { dequantizeFourBit, dequantizeInt8, quantizeFourBit, quantizeInt8 } from '../../scripts/quantization/bitsandbytes.js'
import { f32, floats, readTensors, type RawTensor } from '../../scripts/quantization/safetensors.js'
import { failsWith } from '../binding/support.js'
import { experts, fusedTensors, gptOss, mixtral, mxfp4Quantization } from './expert-folders.js'
import { difference } from './golden.js'
import { cpu, using } from './loaded.js'
import { awq, float8, fourBit, gptq, makePairOf, newFolder, Random, writeModel, type Pair } from './quantized-folders.js'

const rows = [[3, 9, 14, 2, 30, 8, 1, 17, 22], [5, 6, 7]]
const adapted = { r: 2, init: 'gaussian', seed: 4, targetModules: ['q_proj', 'o_proj'], targetParameters: ['mlp.experts.gate_up_proj', 'mlp.experts.down_proj'] } as const

const logitsOf = (options: LoadModelOptions | string): Promise<Float32Array> => using(options, async (model) => (await model.forward(rows)).logits)

/** An adapter on attention and experts after a step: its loss, gradients and folder. */
async function trained(options: LoadModelOptions | string): Promise<{ loss: number; gradients: Map<string, Float32Array>; folder: string }> {
  const folder = newFolder()
  return await using(options, async (model) => {
    const adapter = await model.addAdapter(adapted)
    const optimizer = await createOptimizer(model, {})
    await model.step(rows, optimizer, { learningRate: 1e-2 }) // B leaves zero
    const { loss } = await optimizer.accumulate(rows)
    const gradients = new Map(Object.entries(await optimizer.gradients()).map(([name, { data }]) => [name, data]))
    await adapter.save(folder)
    await optimizer.dispose()
    await adapter.dispose()
    return { loss, gradients, folder }
  })
}

async function computesAs(got: LoadModelOptions | string, want: LoadModelOptions | string): Promise<void> {
  expect(difference(await logitsOf(got), await logitsOf(want))).to.be.below(1e-5)
  const [a, b] = [await trained(got), await trained(want)]
  expect(a.loss).to.be.closeTo(b.loss, 1e-5 * b.loss)
  expect([...b.gradients.keys()].some((name) => name.includes('experts'))).to.equal(true)
  const largest = Math.max(...[...b.gradients.values()].map((gradient) => gradient.reduce((most, x) => Math.max(most, Math.abs(x)), 0)))
  for (const [parameter, gradient] of b.gradients) {
    const error = gradient.reduce((most, x, i) => Math.max(most, Math.abs(x - (a.gradients.get(parameter)?.[i] ?? NaN))), 0)
    expect(error / largest, parameter).to.be.below(1e-4)
  }
}

function sameTensors(got: string, want: string): void {
  const [ours, theirs] = [readTensors(path.join(got, 'model.safetensors')), readTensors(path.join(want, 'model.safetensors'))]
  expect([...ours.keys()].sort()).to.deep.equal([...theirs.keys()].sort())
  for (const [tensor, { dtype, shape, bytes }] of theirs) {
    const one = ours.get(tensor)
    expect({ dtype: one?.dtype, shape: one?.shape }, tensor).to.deep.equal({ dtype, shape })
    expect(Buffer.compare(one?.bytes ?? new Uint8Array(), bytes), tensor).to.equal(0)
  }
}

describe('quantized experts', () => {
  before(() => native().setNumThreads(1))

  describe('of gpt_oss in mxfp4', () => {
    let [packed, plain] = ['', '']
    const made = gptOss(new Random(5))
    const config = { ...made.config, quantization_config: mxfp4Quantization }
    before(() => {
      packed = writeModel(config, new Map([...made.others, ...made.packed]))
      plain = writeModel(made.config, new Map([...made.others, ...fusedTensors(made.fused)]))
    })

    it('compute as their plain values, and train', async () => {
      await computesAs(packed, plain)
      await using(packed, async (model) => {
        expect(model.info.quantization).to.equal('mxfp4')
        await failsWith('FT_INCOMPATIBLE_CONFIG', () => model.setTrainable())
      })
      expect(difference(await logitsOf({ name: packed, dtype: 'bf16' }), await logitsOf({ name: plain, dtype: 'bf16' }))).to.be.below(0.02)
    })

    it('stay as they are stored with load_in_4bit; more bits are refused', async () => {
      expect(await logitsOf({ name: packed, loadIn4bit: true })).to.deep.equal(await logitsOf(packed))
      await failsWith('FT_INCOMPATIBLE_CONFIG', () => loadModel({ name: packed, ...cpu, loadIn8bit: true }))
    })

    it('take the bytes of their files', async () => {
      const { weightBytes, quantization } = await inspectModel(packed)
      expect(quantization).to.equal('mxfp4')
      await using(packed, async (model) => {
        expect(model.info.weightBytes).to.equal(weightBytes)
        await Promise.resolve()
      })
    })

    it('become plain again, byte for byte', async () => {
      const output = newFolder()
      await exportModel({ model: packed, format: 'plain', output, dtype: 'fp32' })
      expect(JSON.parse(fs.readFileSync(path.join(output, 'config.json'), 'utf8'))).to.not.have.property('quantization_config')
      sameTensors(output, plain)
      const sixteen = newFolder()
      await exportModel({ model: packed, format: 'plain', output: sixteen, dtype: 'bf16' })
      const tensors = readTensors(path.join(sixteen, 'model.safetensors'))
      for (const [name, want] of fusedTensors(made.fused)) { // bf16 holds these values
        const bits = new Uint16Array(Uint8Array.from(tensors.get(name)?.bytes ?? []).buffer)
        expect(Float32Array.from(bits, (half) => new Float32Array(new Uint32Array([half << 16]).buffer)[0] ?? NaN), name).to.deep.equal(floats(want))
      }
    })

    it('are merged with an adapter', async () => {
      const { folder: adapter } = await trained(packed)
      const output = newFolder()
      await mergeAdapter({ model: packed, adapter, output, dtype: 'fp32' })
      expect(difference(await logitsOf(output), await logitsOf({ name: packed, adapter }))).to.be.below(1e-5)
    })

    const parameter = 'model.layers.1.mlp.experts.down_proj'
    const damages = {
      'no scales': ['FT_MISSING_TENSOR', (tensors: Map<string, RawTensor>) => void tensors.delete(`${parameter}_scales`)],
      'no blocks': ['FT_MISSING_TENSOR', (tensors: Map<string, RawTensor>) => void tensors.delete(`${parameter}_blocks`)],
      'neither': ['FT_MISSING_TENSOR', (tensors: Map<string, RawTensor>) => { tensors.delete(`${parameter}_scales`); tensors.delete(`${parameter}_blocks`) }],
      'blocks of fewer experts': ['FT_TENSOR_SHAPE', (tensors: Map<string, RawTensor>) => void tensors.set(`${parameter}_blocks`, { dtype: 'U8', shape: [experts - 1, 64, 1, 16], bytes: new Uint8Array((experts - 1) * 64 * 16) })],
      'scales of another type': ['FT_TENSOR_DTYPE', (tensors: Map<string, RawTensor>) => void tensors.set(`${parameter}_scales`, { dtype: 'I8', shape: [experts, 64, 1], bytes: new Uint8Array(experts * 64) })],
    } as const
    for (const [name, [code, damage]] of Object.entries(damages)) {
      it(`that are damaged: ${name}`, async () => {
        const tensors = new Map([...made.others, ...made.packed])
        damage(tensors)
        const error = await failsWith(code, () => loadModel({ name: writeModel(config, tensors), ...cpu }))
        expect(error.remedy).to.not.equal('')
      })
    }
  })

  describe('of Mixtral, a quantized tensor each, in', () => {
    const formats = { nf4: fourBit('nf4', true), fp8: float8, GPTQ: gptq(4, 1, { groupSize: 8, order: false, sym: false }), AWQ: { ...awq, quantization: { ...awq.quantization, group_size: 16 } } }
    for (const [name, { quantization, pack }] of Object.entries(formats)) {
      it(`${name}: compute as their plain values, train and become plain`, async () => {
        const random = new Random(9)
        const routers = name === 'nf4'
        const pair: Pair = makePairOf(mixtral(random, { routers }), quantization, pack, random)
        await computesAs(pair.quantized, pair.plain)
        const output = newFolder()
        await exportModel({ model: pair.quantized, format: 'plain', output, dtype: 'fp32' })
        sameTensors(output, pair.plain)
        await failsWith('FT_INCOMPATIBLE_CONFIG', () => using(pair.quantized, (model) => model.save(newFolder())))
      })
    }
  })

  describe('made while loading', () => {
    type Rounding = (values: Float32Array, shape: readonly [number, number]) => Float32Array
    const schemes = {
      nf4: [{ loadIn4bit: true }, (values, [out, width]) => dequantizeFourBit(quantizeFourBit(values, 'nf4'), out * width)],
      'nf4 with nested scales': [{ loadIn4bit: true, bnb4bitUseDoubleQuant: true }, (values, [out, width]) => dequantizeFourBit(quantizeFourBit(values, 'nf4', { nested: true }), out * width)],
      int8: [{ loadIn8bit: true, llmInt8Threshold: 1e-9 }, (values, shape) => dequantizeInt8(quantizeInt8(values, shape), shape[1])],
    } as const satisfies Record<string, readonly [Omit<LoadModelOptions, 'name'>, Rounding]>

    function plainMixtral(round: Rounding): { folder: string; rounded: string } {
      const random = new Random(11)
      const recipe = mixtral(random)
      const [tensors, rounded] = [new Map(recipe.others), new Map(recipe.others)]
      for (const [name, shape] of recipe.linear) {
        const values = random.normals(shape[0] * shape[1], 0.1)
        tensors.set(`${name}.weight`, f32(values, [...shape]))
        rounded.set(`${name}.weight`, f32(round(values, shape), [...shape]))
      }
      return { folder: writeModel(recipe.config, tensors), rounded: writeModel(recipe.config, rounded) }
    }

    function plainGptOss(round: Rounding): { folder: string; rounded: string } {
      const random = new Random(12)
      const { config, others, fused } = gptOss(random)
      const drawn = fused.map((one) => ({ ...one, values: one.values.map(({ length }) => random.normals(length, 0.1)) }))
      const linear = (name: string): boolean => name.endsWith('_proj.weight')
      const rounded = new Map([...others].map(([name, tensor]) => [name, linear(name) ? f32(round(floats(tensor), tensor.shape as [number, number]), tensor.shape) : tensor]))
      return { folder: writeModel(config, new Map([...others, ...fusedTensors(drawn)])), rounded: writeModel(config, new Map([...rounded, ...fusedTensors(drawn, round)])) }
    }

    for (const [family, make] of [['Mixtral', plainMixtral], ['gpt_oss', plainGptOss]] as const) {
      for (const [name, [options, round]] of Object.entries(schemes)) {
        it(`${family} in ${name}: every expert's matrices are rounded by themselves, routers stay; it trains and merges`, async () => {
          const { folder, rounded } = make(round)
          const how = { name: folder, ...options }
          await computesAs(how, rounded)
          const { folder: adapter } = await trained(how)
          const output = newFolder()
          await mergeAdapter({ model: folder, adapter, output, ...options })
          expect(difference(await logitsOf(output), await logitsOf({ ...how, adapter }))).to.be.below(1e-5)
          const { weightBytes } = weightBytesAs(await inspectModel(folder), 4, options)
          await using(how, async (model) => {
            expect(model.info.weightBytes).to.equal(weightBytes)
            await failsWith('FT_INCOMPATIBLE_CONFIG', () => model.save(newFolder()))
          })
        })
      }

      it(`${family}: experts stay plain where they are named, and in what is written for bitsandbytes`, async () => {
        const { folder } = make((values) => values)
        const named = await logitsOf({ name: folder, loadIn4bit: true, llmInt8SkipModules: ['.*experts'] })
        expect(difference(named, await logitsOf({ name: folder, loadIn4bit: true }))).to.be.above(1e-3)
        const output = newFolder()
        await exportModel({ model: folder, format: 'bnb-4bit', output, dtype: 'fp32' })
        expect(difference(await logitsOf(output), named)).to.be.below(1e-5)
        const [before, after] = [folder, output].map((one) => readTensors(path.join(one, 'model.safetensors')))
        const untouched = [...(before?.keys() ?? [])].filter((name) => /experts|router|gate\.weight/.test(name))
        expect(untouched.length).to.be.above(4)
        for (const name of untouched) expect(after?.get(name), name).to.deep.equal(before?.get(name))
      })

      it(`${family}: starts from the random weights that a plain model has`, async () => {
        const { folder } = make((values) => values)
        const random = { name: folder, init: 'random', seed: 3 } as const
        expect(difference(await logitsOf({ ...random, loadIn8bit: true }), await logitsOf(random))).to.be.above(0).and.below(0.05)
      })
    }
  })
})
