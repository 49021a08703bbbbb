// Quantized weights against plain ones of the same values: reading every format, quantizing while loading, writing bitsandbytes'
// folders byte for byte, training, merging. The values come from scripts/quantization, which knows nothing of the engine.
import { expect } from 'chai'
import fs from 'node:fs'
import path from 'node:path'
import { createOptimizer, exportModel, inspectModel, loadModel, mergeAdapter, type LoadModelOptions } from '../../lib/models/index.js'
import { quantizedBytes, weightBytesAs } from '../../lib/models/quantization.js'
import { native } from '../../lib/native/binding.js'
import { dequantizeFourBit, dequantizeInt8, fourBitTensors, int8Tensors, quantizeFourBit, quantizeInt8 } from '../../scripts/quantization/bitsandbytes.js'
import { f32, floats, readTensors, type RawTensor } from '../../scripts/quantization/safetensors.js'
import { failsWith } from '../binding/support.js'
import { difference } from './golden.js'
import { cpu, using } from './loaded.js'
import {
  awq, configOf, eightBit, float8, fourBit, gptq, linearModules, makePair, newFolder, oddSizes, wordSizes, writeModel, type Packer, type Pair, type Sizes,
} from './quantized-folders.js'

interface Format {
  name: string
  shown: string
  sizes: Sizes
  quantization: Record<string, unknown>
  pack: Packer
}

const grouping = { groupSize: 16, order: false, sym: false }
const formats: Format[] = [
  { name: 'nf4', shown: 'bitsandbytes 4-bit', sizes: oddSizes, ...fourBit('nf4', false) },
  { name: 'nf4 with nested scales', shown: 'bitsandbytes 4-bit', sizes: oddSizes, ...fourBit('nf4', true) },
  { name: 'fp4 with nested scales', shown: 'bitsandbytes 4-bit', sizes: wordSizes, ...fourBit('fp4', true) },
  { name: 'GPTQ', shown: 'GPTQ 4-bit', sizes: wordSizes, ...gptq(4, 1, grouping) },
  { name: 'GPTQ, symmetric, one group', shown: 'GPTQ 4-bit', sizes: wordSizes, ...gptq(4, 1, { groupSize: 72, order: false, sym: true }) },
  { name: 'GPTQ, second version, activation order', shown: 'GPTQ 4-bit', sizes: wordSizes, ...gptq(4, 2, { ...grouping, order: true }) },
  { name: 'GPTQ of 8 bits', shown: 'GPTQ 8-bit', sizes: wordSizes, ...gptq(8, 1, grouping) },
  { name: 'AWQ', shown: 'AWQ 4-bit', sizes: wordSizes, ...awq },
  { name: 'fp8 in blocks', shown: 'fp8', sizes: oddSizes, ...float8 },
]

const rows = [[3, 9, 14, 2, 30, 8, 1], [5, 6, 7]]

const logitsOf = (options: LoadModelOptions | string): Promise<Float32Array> => using(options, async (model) => (await model.forward(rows)).logits)

async function generated(options: LoadModelOptions | string): Promise<number[]> {
  return await using(options, async (model) => {
    const tokens: number[] = []
    for await (const token of model.generate([3, 9, 14], { maxNewTokens: 12, temperature: 0 })) tokens.push(token)
    return tokens
  })
}

/** The loss and every gradient of a LoRA step. */
async function gradientsOf(options: LoadModelOptions | string): Promise<{ loss: number; gradients: Map<string, Float32Array> }> {
  return await using(options, async (model) => {
    const adapter = await model.addAdapter({ r: 3, init: 'gaussian', seed: 4 })
    const optimizer = await createOptimizer(model, {})
    await model.step(rows, optimizer, { learningRate: 1e-2 }) // B leaves zero
    const { loss } = await optimizer.accumulate(rows)
    const gradients = new Map(Object.entries(await optimizer.gradients()).map(([name, { data }]) => [name, data]))
    await optimizer.dispose()
    await adapter.dispose()
    return { loss, gradients }
  })
}

/** A plain fp32 model and its linear weights. */
function plainModel(sizes: Sizes): { folder: string; weights: Map<string, Float32Array>; tensors: Map<string, RawTensor> } {
  const weights = new Map<string, Float32Array>()
  const pair = makePair(sizes, {}, (name, shape, random) => {
    const values = random.normals(shape[0] * shape[1], 0.1)
    weights.set(name, values)
    return { tensors: new Map([[`${name}.weight`, f32(values, [...shape])]]), values }
  })
  return { folder: pair.plain, weights, tensors: pair.tensors }
}

/** The same model with its linear weights replaced. */
function withValues(sizes: Sizes, source: ReadonlyMap<string, RawTensor>, valuesOf: (name: string, shape: readonly [number, number]) => Float32Array): string {
  const tensors = new Map(source)
  for (const [name, shape] of linearModules(sizes)) tensors.set(`${name}.weight`, f32(valuesOf(name, shape), [...shape]))
  return writeModel(configOf(sizes), tensors)
}

describe('quantized weights', () => {
  before(() => native().setNumThreads(1))

  describe('stored in', () => {
    for (const { name, shown, sizes, quantization, pack } of formats) {
      describe(name, () => {
        let pair: Pair
        before(() => (pair = makePair(sizes, quantization, pack)))

        it('gives the logits, tokens and gradients of the plain values', async () => {
          expect(difference(await logitsOf(pair.quantized), await logitsOf(pair.plain))).to.be.below(1e-5)
          expect(await generated(pair.quantized)).to.deep.equal(await generated(pair.plain))
          const [got, want] = [await gradientsOf(pair.quantized), await gradientsOf(pair.plain)]
          expect(got.loss).to.be.closeTo(want.loss, 1e-5 * want.loss)
          for (const [parameter, gradient] of want.gradients) expect(difference(got.gradients.get(parameter) ?? new Float32Array(), gradient), parameter).to.be.below(1e-4)
        })

        it('computes in bf16 what plain weights do', async () => {
          expect(difference(await logitsOf({ name: pair.quantized, dtype: 'bf16' }), await logitsOf({ name: pair.plain, dtype: 'bf16' }))).to.be.below(0.02)
        })

        it('is named, and becomes plain again', async () => {
          expect((await inspectModel(pair.quantized)).quantization).to.equal(shown)
          const output = newFolder()
          await exportModel({ model: pair.quantized, format: 'plain', output, dtype: 'fp32' })
          expect(JSON.parse(fs.readFileSync(path.join(output, 'config.json'), 'utf8'))).to.not.have.property('quantization_config')
          const [got, want] = [readTensors(path.join(output, 'model.safetensors')), readTensors(path.join(pair.plain, 'model.safetensors'))]
          expect([...got.keys()].sort()).to.deep.equal([...want.keys()].sort())
          for (const [tensor, { shape, bytes }] of want) {
            expect(got.get(tensor)?.shape, tensor).to.deep.equal(shape)
            expect(floats(got.get(tensor) ?? f32(new Float32Array(), [0])), tensor).to.deep.equal(floats({ dtype: 'F32', shape, bytes }))
          }
        })
      })
    }

    it('bitsandbytes 8-bit: weights and scales are the reference\'s', async () => {
      const pair = makePair(oddSizes, { quant_method: 'bitsandbytes', load_in_8bit: true, load_in_4bit: false, llm_int8_threshold: 6 }, eightBit)
      const output = newFolder()
      await exportModel({ model: pair.quantized, format: 'plain', output, dtype: 'fp32' })
      const [got, want] = [readTensors(path.join(output, 'model.safetensors')), readTensors(path.join(pair.plain, 'model.safetensors'))]
      for (const [tensor, { bytes }] of want) expect(Buffer.compare(got.get(tensor)?.bytes ?? new Uint8Array(), bytes), tensor).to.equal(0)
      // Inputs are rounded to 8 bits on the way: close, not equal.
      const distance = difference(await logitsOf(pair.quantized), await logitsOf(pair.plain))
      expect(distance).to.be.above(1e-6).and.below(0.05)
      // A threshold below every input leaves them all as they are.
      const exact = writeModel({ ...pair.config, quantization_config: { ...(pair.config.quantization_config as object), llm_int8_threshold: 1e-9 } }, pair.tensors)
      expect(difference(await logitsOf(exact), await logitsOf(pair.plain))).to.be.below(1e-5)
    })
  })

  describe('made while loading', () => {
    for (const type of ['nf4', 'fp4'] as const) {
      for (const nested of [false, true]) {
        it(`${type}${nested ? ' with nested scales' : ''}: values and files are the reference's`, async () => {
          const { folder, weights, tensors } = plainModel(oddSizes)
          const quantized = new Map([...weights].map(([name, values]) => [name, quantizeFourBit(values, type, { nested })]))
          const rounded = withValues(oddSizes, tensors, (name, [out, width]) => dequantizeFourBit(quantized.get(name) ?? expect.fail(name), out * width))
          const options = { name: folder, loadIn4bit: true, bnb4bitQuantType: type, bnb4bitUseDoubleQuant: nested }
          expect(difference(await logitsOf(options), await logitsOf(rounded))).to.be.below(1e-5)
          const output = newFolder()
          await exportModel({ model: folder, format: 'bnb-4bit', output, dtype: 'fp32', bnb4bitQuantType: type, bnb4bitUseDoubleQuant: nested })
          const written = readTensors(path.join(output, 'model.safetensors'))
          for (const [name, shape] of linearModules(oddSizes)) {
            for (const [key, want] of fourBitTensors(name, quantized.get(name) ?? expect.fail(name), shape)) {
              const got = written.get(key)
              expect({ dtype: got?.dtype, shape: got?.shape }, key).to.deep.equal({ dtype: want.dtype, shape: want.shape })
              if (key.includes('quant_state')) expect(JSON.parse(Buffer.from(got?.bytes ?? []).toString())).to.deep.equal(JSON.parse(Buffer.from(want.bytes).toString()))
              else expect(Buffer.compare(got?.bytes ?? new Uint8Array(), want.bytes), key).to.equal(0)
            }
          }
          const { quantization_config: config } = JSON.parse(fs.readFileSync(path.join(output, 'config.json'), 'utf8')) as { quantization_config: Record<string, unknown> }
          expect(config).to.include({ quant_method: 'bitsandbytes', load_in_4bit: true, load_in_8bit: false, bnb_4bit_quant_type: type, bnb_4bit_use_double_quant: nested })
          expect(difference(await logitsOf(output), await logitsOf(rounded))).to.be.below(1e-5)
        })
      }
    }

    it('are kept by an export as the files have them, and what would change nothing is refused', async () => {
      const { folder } = plainModel(wordSizes)
      for (const [format, options, other] of [
        ['bnb-4bit', { bnb4bitQuantType: 'fp4', bnb4bitUseDoubleQuant: true }, { bnb4bitQuantType: 'nf4' }],
        ['bnb-8bit', {}, { llmInt8Threshold: 4 }],
      ] as const) {
        const [made, again] = [newFolder(), newFolder()]
        await exportModel({ model: folder, format, output: made, ...options })
        // transformers reads the threshold as a float alone.
        expect(fs.readFileSync(path.join(made, 'config.json'), 'utf8')).to.include('"llm_int8_threshold": 6.0,')
        await exportModel({ model: made, format, output: again })
        for (const name of ['config.json', 'model.safetensors']) expect(Buffer.compare(fs.readFileSync(path.join(again, name)), fs.readFileSync(path.join(made, name))), name).to.equal(0)
        await failsWith('FT_INCOMPATIBLE_CONFIG', () => exportModel({ model: made, format, output: newFolder(), ...other }))
      }
    })

    it('int8: files are the reference\'s', async () => {
      const { folder, weights, tensors } = plainModel(oddSizes)
      const output = newFolder()
      await exportModel({ model: folder, format: 'bnb-8bit', output, dtype: 'fp32' })
      const written = readTensors(path.join(output, 'model.safetensors'))
      for (const [name, shape] of linearModules(oddSizes)) {
        const quantized = quantizeInt8(weights.get(name) ?? expect.fail(name), shape)
        for (const [key, want] of int8Tensors(name, quantized, shape)) expect(Buffer.compare(written.get(key)?.bytes ?? new Uint8Array(), want.bytes), key).to.equal(0)
      }
      const exact = { name: folder, loadIn8bit: true, llmInt8Threshold: 1e-9 }
      const rounded = withValues(oddSizes, tensors, (name, shape) => dequantizeInt8(quantizeInt8(weights.get(name) ?? expect.fail(name), shape), shape[1]))
      expect(difference(await logitsOf(exact), await logitsOf(rounded))).to.be.below(1e-5)
    })

    it('leaves the modules alone that are named, and the head', async () => {
      const { folder, weights, tensors } = plainModel(wordSizes)
      const skipped = (name: string): boolean => name.endsWith('k_proj') || name.startsWith('model.layers.1.mlp')
      const rounded = withValues(wordSizes, tensors, (name, [out, width]) => {
        const values = weights.get(name) ?? expect.fail(name)
        return skipped(name) ? values : dequantizeFourBit(quantizeFourBit(values, 'nf4'), out * width)
      })
      const options = { name: folder, loadIn4bit: true, llmInt8SkipModules: ['k_proj', 'model.layers.1.mlp'] }
      expect(difference(await logitsOf(options), await logitsOf(rounded))).to.be.below(1e-5)
      // Parts of one group that want their inputs differently: k_proj beside int8 ones.
      const mixed = { name: folder, loadIn8bit: true, llmInt8Threshold: 1e-9, llmInt8SkipModules: ['k_proj', 'model.layers.1.mlp'] }
      const eight = withValues(wordSizes, tensors, (name, shape) => {
        const values = weights.get(name) ?? expect.fail(name)
        return skipped(name) ? values : dequantizeInt8(quantizeInt8(values, shape), shape[1])
      })
      expect(difference(await logitsOf(mixed), await logitsOf(eight))).to.be.below(1e-5)
      const [got, want] = [await gradientsOf(mixed), await gradientsOf(eight)]
      for (const [parameter, gradient] of want.gradients) expect(difference(got.gradients.get(parameter) ?? new Float32Array(), gradient), parameter).to.be.below(1e-4)
    })

    it('takes the bytes that the table says', async () => {
      const { folder } = plainModel(wordSizes)
      for (const options of [{ loadIn4bit: true }, { loadIn4bit: true, bnb4bitUseDoubleQuant: true, bnb4bitQuantType: 'fp4' }, { loadIn8bit: true }, { loadIn4bit: true, llmInt8SkipModules: ['down_proj'] }] as const) {
        const { weightBytes } = weightBytesAs(await inspectModel(folder), 4, options)
        await using({ name: folder, ...options }, async (model) => {
          expect(model.info.weightBytes).to.equal(weightBytes)
          await Promise.resolve()
        })
      }
      expect(quantizedBytes('nf4', 128, 128)).to.equal(128 * 64 + 64 + 4 * 256)
    })

    it('starts from the random weights that a plain model has', async () => {
      const folder = newFolder()
      fs.writeFileSync(path.join(folder, 'config.json'), JSON.stringify(configOf(wordSizes)))
      const plain = await logitsOf({ name: folder, init: 'random', seed: 3 })
      const distance = difference(await logitsOf({ name: folder, init: 'random', seed: 3, loadIn8bit: true }), plain)
      expect(distance).to.be.above(0).and.below(0.05)
    })

    it('makes fewer bits of what is stored quantized, and refuses more', async () => {
      const eight = makePair(wordSizes, float8.quantization, float8.pack)
      await using({ name: eight.quantized, loadIn4bit: true }, async (model) => {
        expect(model.info.quantization).to.equal('nf4')
        await Promise.resolve()
      })
      expect(difference(await logitsOf({ name: eight.quantized, loadIn4bit: true }), await logitsOf({ name: eight.plain, loadIn4bit: true }))).to.be.below(1e-5)
      const four = makePair(wordSizes, awq.quantization, awq.pack)
      expect(await logitsOf({ name: four.quantized, loadIn4bit: true })).to.deep.equal(await logitsOf(four.quantized)) // as it is stored
      await failsWith('FT_INCOMPATIBLE_CONFIG', () => loadModel({ name: four.quantized, ...cpu, loadIn8bit: true }))
      await failsWith('FT_INCOMPATIBLE_CONFIG', () => exportModel({ model: four.quantized, format: 'bnb-4bit', output: newFolder() }))
    })
  })

  it('are not trained themselves', async () => {
    const { folder } = plainModel(wordSizes)
    await using({ name: folder, loadIn4bit: true }, async (model) => {
      const error = await failsWith('FT_INCOMPATIBLE_CONFIG', () => model.setTrainable())
      expect(error.remedy).to.contain('qlora')
    })
    await failsWith('FT_INCOMPATIBLE_CONFIG', () => loadModel({ name: folder, ...cpu, loadIn4bit: true, loadIn8bit: true }))
    await failsWith('FT_INVALID_ARGUMENT', () => loadModel({ name: folder, ...cpu, loadIn4bit: true, bnb4bitQuantType: 'nf5' as 'nf4' }))
  })

  describe('merged with an adapter', () => {
    async function trained(options: LoadModelOptions): Promise<string> {
      const folder = newFolder()
      await using(options, async (model) => {
        const adapter = await model.addAdapter({ r: 2, init: 'gaussian' })
        const optimizer = await createOptimizer(model, {})
        for (let step = 0; step < 2; step++) await model.step(rows, optimizer, { learningRate: 1e-2 })
        await adapter.save(folder)
        await optimizer.dispose()
      })
      return folder
    }

    it('a stored quantized base', async () => {
      for (const { sizes, quantization, pack } of [formats[1], formats[3]].filter((format) => format !== undefined)) {
        const pair = makePair(sizes, quantization, pack)
        const adapter = await trained({ name: pair.quantized })
        const output = newFolder()
        await mergeAdapter({ model: pair.quantized, adapter, output, dtype: 'fp32' })
        expect(difference(await logitsOf(output), await logitsOf({ name: pair.quantized, adapter }))).to.be.below(1e-5)
        const half = newFolder()
        await mergeAdapter({ model: pair.quantized, adapter, output: half })
        expect([...readTensors(path.join(half, 'model.safetensors'))].find(([name]) => name.endsWith('q_proj.weight'))?.[1].dtype).to.equal('BF16')
      }
    })

    it('a plain base that is quantized while it is loaded', async () => {
      const { folder } = plainModel(wordSizes)
      const how = { loadIn4bit: true, bnb4bitUseDoubleQuant: true } as const
      const adapter = await trained({ name: folder, ...how })
      const output = newFolder()
      await mergeAdapter({ model: folder, adapter, output, ...how })
      expect(difference(await logitsOf(output), await logitsOf({ name: folder, adapter, ...how }))).to.be.below(1e-5)
      expect(difference(await logitsOf(output), await logitsOf({ name: folder, adapter }))).to.be.above(1e-4) // another base
    })
  })

  describe('that are damaged', () => {
    const nested = fourBit('nf4', true)
    const cases: { name: string; code: 'FT_MISSING_TENSOR' | 'FT_TENSOR_SHAPE' | 'FT_TENSOR_DTYPE' | 'FT_SAFETENSORS' | 'FT_UNSUPPORTED_MODEL' | 'FT_MODEL_CONFIG'; format: { quantization: Record<string, unknown>; pack: Packer }; damage: (tensors: Map<string, RawTensor>, config: Record<string, unknown>) => void }[] = []
    const q = 'model.layers.1.self_attn.q_proj'
    const bytes = (size: number, dtype = 'U8'): RawTensor => ({ dtype, shape: [size], bytes: new Uint8Array(dtype === 'F32' || dtype === 'I32' ? 4 * size : size) })
    const put = (suffix: string, tensor: RawTensor) => (tensors: Map<string, RawTensor>) => void tensors.set(`${q}.${suffix}`, tensor)
    const drop = (suffix: string) => (tensors: Map<string, RawTensor>) => void tensors.delete(`${q}.${suffix}`)
    const text = (value: string): RawTensor => ({ dtype: 'U8', shape: [Buffer.byteLength(value)], bytes: new Uint8Array(Buffer.from(value)) })
    const state = 'weight.quant_state.bitsandbytes__nf4'
    cases.push(
      { name: 'codes that are cut off', code: 'FT_TENSOR_SHAPE', format: nested, damage: put('weight', bytes(17)) },
      { name: 'scales of a wrong length', code: 'FT_TENSOR_SHAPE', format: nested, damage: put('weight.absmax', bytes(3)) },
      { name: 'no nested scales', code: 'FT_MISSING_TENSOR', format: nested, damage: drop('weight.nested_absmax') },
      { name: 'no nested table', code: 'FT_MISSING_TENSOR', format: nested, damage: drop('weight.nested_quant_map') },
      { name: 'no state', code: 'FT_MISSING_TENSOR', format: nested, damage: drop(state) },
      { name: 'a state that is no JSON', code: 'FT_SAFETENSORS', format: nested, damage: put(state, text('{"quant_type": nf4')) },
      { name: 'a state of another shape', code: 'FT_TENSOR_SHAPE', format: nested, damage: put(state, text('{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [3, 3], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.1}')) },
      { name: 'a state with a block of 0', code: 'FT_SAFETENSORS', format: nested, damage: put(state, text('{"quant_type": "nf4", "blocksize": 0, "dtype": "float32", "shape": [18, 33]}')) },
      { name: 'a state without an offset', code: 'FT_SAFETENSORS', format: nested, damage: put(state, text('{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [18, 33], "nested_blocksize": 256}')) },
      { name: 'no scales of 8-bit rows', code: 'FT_MISSING_TENSOR', format: { quantization: { quant_method: 'bitsandbytes', load_in_8bit: true }, pack: eightBit }, damage: drop('SCB') },
      { name: 'too few scales of 8-bit rows', code: 'FT_TENSOR_SHAPE', format: { quantization: { quant_method: 'bitsandbytes', load_in_8bit: true }, pack: eightBit }, damage: put('SCB', bytes(5, 'F32')) },
      { name: 'GPTQ without zero points', code: 'FT_MISSING_TENSOR', format: gptq(4, 1, grouping), damage: drop('qzeros') },
      { name: 'GPTQ with a short group index', code: 'FT_TENSOR_SHAPE', format: gptq(4, 1, grouping), damage: put('g_idx', bytes(7, 'I32')) },
      { name: 'GPTQ with a group that is not there', code: 'FT_TENSOR_SHAPE', format: gptq(4, 1, grouping), damage: put('g_idx', { dtype: 'I32', shape: [48], bytes: new Uint8Array(new Int32Array(48).fill(99).buffer) }) },
      { name: 'GPTQ words of another type', code: 'FT_TENSOR_DTYPE', format: gptq(4, 1, grouping), damage: (tensors) => void tensors.set(`${q}.qweight`, { ...(tensors.get(`${q}.qweight`) ?? expect.fail('qweight')), dtype: 'F32' }) },
      { name: 'AWQ of another group size', code: 'FT_TENSOR_SHAPE', format: awq, damage: (_, config) => Object.assign(config, { quantization_config: { ...awq.quantization, group_size: 24 } }) },
      { name: 'fp8 blocks of another size', code: 'FT_TENSOR_SHAPE', format: float8, damage: (_, config) => Object.assign(config, { quantization_config: { ...float8.quantization, weight_block_size: [128, 128] } }) },
      { name: 'fp8 without blocks', code: 'FT_UNSUPPORTED_MODEL', format: float8, damage: (_, config) => Object.assign(config, { quantization_config: { quant_method: 'fp8' } }) },
      { name: 'a method that nobody knows', code: 'FT_UNSUPPORTED_MODEL', format: nested, damage: (_, config) => Object.assign(config, { quantization_config: { quant_method: 'magic' } }) },
      { name: 'GPTQ of 3 bits', code: 'FT_UNSUPPORTED_MODEL', format: gptq(4, 1, grouping), damage: (_, config) => Object.assign(config, { quantization_config: { quant_method: 'gptq', bits: 3 } }) },
      { name: 'neither 4 nor 8 bits', code: 'FT_MODEL_CONFIG', format: nested, damage: (_, config) => Object.assign(config, { quantization_config: { quant_method: 'bitsandbytes' } }) },
      { name: 'a configuration that says nothing of them', code: 'FT_MODEL_CONFIG', format: nested, damage: (_, config) => void delete config.quantization_config },
      { name: 'a configuration of another format', code: 'FT_MODEL_CONFIG', format: nested, damage: (_, config) => Object.assign(config, { quantization_config: { quant_method: 'bitsandbytes', load_in_8bit: true } }) },
      { name: 'scales that are not finite', code: 'FT_SAFETENSORS', format: nested, damage: (tensors) => new Float32Array(tensors.get(`${q}.weight.nested_absmax`)?.bytes.buffer ?? expect.fail('scales')).fill(NaN) },
      { name: 'an offset that fp32 does not hold', code: 'FT_SAFETENSORS', format: nested, damage: put(state, text('{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [18, 33], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 1e39}')) },
    )
    for (const { name, code, format, damage } of cases) {
      it(name, async () => {
        const sizes = format.quantization.quant_method === 'bitsandbytes' || format === float8 ? oddSizes : wordSizes
        const pair = makePair(sizes, format.quantization, format.pack)
        damage(pair.tensors, pair.config)
        const folder = writeModel(pair.config, pair.tensors)
        const error = await failsWith(code, () => loadModel({ name: folder, ...cpu }))
        expect(error.remedy).to.not.equal('')
      })
    }
  })
})

