// How weights are kept, in the configuration: defaults that follow from the method, names of other tools, what excludes what.
import { expect } from 'chai'
import { loadConfig } from '../../../lib/core/config/index.js'
import { caught } from '../support/caught.js'

const load = (flags: Record<string, unknown>) => loadConfig({ flags: { model: './model', data: './data.jsonl', ...flags }, env: {} }).config.model

describe('quantization in the configuration', () => {
  it('method qlora loads in 4 bits, nf4', () => {
    expect(load({ method: 'qlora' })).to.include({ loadIn4bit: true, loadIn8bit: false, bnb4bitQuantType: 'nf4', bnb4bitUseDoubleQuant: false })
    expect(load({ method: 'lora' }).loadIn4bit).to.equal(false)
    expect(load({ 'load-in-8bit': true })).to.include({ loadIn4bit: false, loadIn8bit: true, llmInt8Threshold: 6 })
    expect(load({ method: 'qlora', 'quant-type': 'fp4', 'double-quant': true })).to.include({ bnb4bitQuantType: 'fp4', bnb4bitUseDoubleQuant: true })
  })

  const refused: [string, Record<string, unknown>, string][] = [
    ['4 and 8 bits', { 'load-in-4bit': true, 'load-in-8bit': true }, 'load_in_8bit'],
    ['all weights in 4 bits', { method: 'full', 'load-in-4bit': true }, 'full'],
    ['all weights in 8 bits', { method: 'full', 'load-in-8bit': true }, 'full'],
    ['qlora in 8 bits', { method: 'qlora', 'load-in-8bit': true }, 'qlora'],
    ['qlora without 4 bits', { method: 'qlora', 'load-in-4bit': false }, 'qlora'],
    ['a type of 4 bits without them', { 'quant-type': 'fp4' }, 'bnb_4bit_quant_type'],
    ['double quantization in 8 bits', { 'load-in-8bit': true, 'double-quant': true }, 'bnb_4bit_use_double_quant'],
  ]
  for (const [name, flags, names] of refused) {
    it(`refuses ${name}`, () => {
      const error = caught(() => load(flags))
      expect(error.code).to.equal('FT_INCOMPATIBLE_CONFIG')
      expect(error.message).to.contain(names)
      expect(error.remedy).to.not.equal('')
    })
  }

  it('takes the compute type by its other name, once', () => {
    const withCode = (model: object) => loadConfig({ flags: { model: './model', data: './data.jsonl', 'load-in-4bit': true }, env: Object.fromEntries(Object.entries(model).map(([key, value]) => [`FT_NATIVE_MODEL__${key.toUpperCase()}`, String(value)])) }).config.model
    expect(withCode({ bnb_4bit_compute_dtype: 'bfloat16' }).bnb4bitComputeDtype).to.equal('bfloat16')
    expect(withCode({ bnb_4bit_compute_dtype: 'bfloat16', dtype: 'bf16' }).dtype).to.equal('bf16')
    expect(caught(() => withCode({ bnb_4bit_compute_dtype: 'float16', dtype: 'bf16' })).code).to.equal('FT_INCOMPATIBLE_CONFIG')
  })
})
