// Errors: one class a code, exit codes of the contract, what people and programs see.
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import { parseTable, render, outputPath, tablePath } from '../../../scripts/generate-error-codes.mjs'
import {
  CheckpointError, ConfigurationError, DatasetError, DatasetLoadError, describeError, errorClasses, errorCodes, errorEvent, exitCodeOf, fail,
  FineTuneError, fromNative, HubError, InvalidConfigError, makeError, MetricComputationError, EvaluationError, ModelError, ModelLoadError, NaNLossError,
  OutOfMemoryError, toFineTuneError, TrainingError, type ErrorCode,
} from '../../../lib/core/errors/index.js'

const allCodes = Object.keys(errorCodes) as ErrorCode[]

describe('error codes', () => {
  it('are generated from error_codes.def and current', () => {
    expect(readFileSync(outputPath, 'utf8')).to.equal(render(parseTable(readFileSync(tablePath, 'utf8'))))
  })

  it('refuse a table with a malformed or double row', () => {
    expect(() => parseTable('FT_ERROR_CODE(kA, "FT_A", X)')).to.throw('error_codes.def:1')
    const row = 'FT_ERROR_CODE(kA, "FT_A", X, 1)'
    expect(() => parseTable(`${row}\n${row}`)).to.throw('FT_A is there twice')
  })

  it('each make an instance of their class with their exit code', () => {
    for (const code of allCodes) {
      const error = makeError(code, 'what', { remedy: 'do it', details: { path: 'x' } })
      expect(error).to.be.instanceOf(errorClasses[errorCodes[code].errorClass])
      expect(error.name).to.equal(errorCodes[code].errorClass)
      expect(error).to.include({ code, message: 'what', remedy: 'do it', exitCode: errorCodes[code].exitCode })
      expect(exitCodeOf(error)).to.equal(errorCodes[code].exitCode)
    }
  })

  it('keep the exit codes of the contract', () => {
    const contract: Partial<Record<ErrorCode, number>> = {
      FT_INTERNAL: 1, FT_USAGE: 2, FT_INVALID_CONFIG: 2, FT_UNKNOWN_CONFIG_KEY: 2, FT_OUTPUT_EXISTS: 2, FT_RESUME_MISMATCH: 2, FT_MODEL_NOT_FOUND: 3,
      FT_EMPTY_DATASET: 3, FT_TRUNCATION: 3, FT_STORAGE: 5, FT_OUTPUT_LOCKED: 6, FT_NOT_FINITE: 7, FT_OUT_OF_MEMORY: 8, FT_HUB: 9, FT_CANCELLED: 130,
    }
    for (const [code, exitCode] of Object.entries(contract)) expect(errorCodes[code as ErrorCode].exitCode, code).to.equal(exitCode)
  })

  it('form the tree people catch by', () => {
    const parents = [
      [InvalidConfigError, ConfigurationError], [ModelLoadError, ModelError], [DatasetLoadError, DatasetError], [OutOfMemoryError, TrainingError],
      [NaNLossError, TrainingError], [CheckpointError, TrainingError], [MetricComputationError, EvaluationError], [HubError, FineTuneError],
    ] as const
    for (const [child, parent] of parents) expect(new child('x')).to.be.instanceOf(parent).and.instanceOf(FineTuneError).and.instanceOf(Error)
  })
})

describe('an error that is made without a code', () => {
  it('has the one of its class, or of the nearest that has one', () => {
    class OwnError extends CheckpointError {}
    const cases = [[FineTuneError, 'FT_INTERNAL'], [InvalidConfigError, 'FT_INVALID_CONFIG'], [ModelLoadError, 'FT_MODEL_CONFIG'], [NaNLossError, 'FT_NOT_FINITE'], [OwnError, 'FT_CHECKPOINT']] as const
    for (const [type, code] of cases) expect(new type('x')).to.include({ code, name: type.name })
    expect(new OwnError('x', { code: 'FT_STORAGE' }).code).to.equal('FT_STORAGE')
  })
})

describe('a remedy', () => {
  it('is general where the place of the error has none, as in most checks of the engine', () => {
    for (const remedy of [undefined, '']) {
      expect(fromNative(Object.assign(new Error('r must be positive'), { code: 'FT_INVALID_ARGUMENT', remedy })).remedy).to.include('the argument that the message names')
    }
    expect(makeError('FT_HANDLE_DISPOSED', 'x', { remedy: 'mine' }).remedy).to.equal('mine')
    expect(toFineTuneError(new TypeError('odd')).remedy).to.include('defect')
  })
})

describe('fail', () => {
  it('throws with a stack that begins at the caller', () => {
    try {
      fail('FT_DATASET', 'broken')
    } catch (error) {
      expect((error as Error).stack?.split('\n')[1]).to.include('errors.test')
      return
    }
    throw new Error('fail returned')
  })

  it('freezes details', () => {
    const error = makeError('FT_DATASET', 'x', { details: { a: 1 } })
    expect(() => Object.assign(error.details, { a: 2 })).to.throw(TypeError)
  })
})

describe('errors of other layers', () => {
  it('of the engine get the class of their code', () => {
    const native = Object.assign(new Error('shape [2]'), { code: 'FT_TENSOR_SHAPE', remedy: 'convert again', details: { tensor: 'w' } })
    const error = fromNative(native)
    expect(error).to.be.instanceOf(ModelLoadError)
    expect(error).to.include({ code: 'FT_TENSOR_SHAPE', message: 'shape [2]', remedy: 'convert again', cause: native })
    expect(error.details).to.deep.equal({ tensor: 'w' })
  })

  it('of the engine with an unknown code, or no Error at all, are internal', () => {
    expect(fromNative(Object.assign(new Error('x'), { code: 'FT_NEVER' })).code).to.equal('FT_INTERNAL')
    expect(fromNative('text')).to.include({ code: 'FT_INTERNAL' })
    const own = makeError('FT_DATASET', 'x')
    expect(fromNative(own)).to.equal(own)
  })

  it('of Node: a full or read-only disk is storage, an abort is a cancel, the rest internal', () => {
    for (const code of ['ENOSPC', 'EROFS', 'EIO', 'EDQUOT']) expect(exitCodeOf(Object.assign(new Error('x'), { code })), code).to.equal(5)
    expect(exitCodeOf(new DOMException('stop', 'AbortError'))).to.equal(130)
    expect(exitCodeOf(new TypeError('x'))).to.equal(1)
    expect(exitCodeOf(undefined)).to.equal(1)
    expect(toFineTuneError(new TypeError('odd')).message).to.equal('odd')
  })
})

describe('describeError', () => {
  const error = makeError('FT_DATASET_ROW', 'data.jsonl:3: not JSON', { remedy: 'correct the line', details: { line: 3 }, cause: new Error('deep reason') })

  it('says what, where, remedy and code, and no stack', () => {
    expect(describeError(error)).to.equal('error: data.jsonl:3: not JSON\nremedy: correct the line\ncode: FT_DATASET_ROW')
  })

  it('adds stack, details and causes when verbose', () => {
    const text = describeError(error, { verbose: true })
    expect(text).to.include('errors.test').and.include('{"line":3}').and.include('caused by: Error: deep reason')
  })

  it('survives details that contain themselves, and big integers', () => {
    const loop: Record<string, unknown> = { n: 10n }
    loop.self = loop
    expect(describeError(makeError('FT_DATASET', 'x', { details: loop }), { verbose: true })).to.include('"n":"10"')
  })

  it('hides tokens in text and event', () => {
    const secret = 'hf_abcdefghijABCDEFGHIJ0123456789abcd'
    const leaky = makeError('FT_HUB', `GET https://user:pw@host/x with ${secret}`, { remedy: `not ${secret}`, cause: new Error(secret) })
    expect(describeError(leaky, { verbose: true })).not.to.include(secret).and.not.include('user:pw')
    expect(JSON.stringify(errorEvent(leaky))).not.to.include(secret)
    expect(errorEvent(leaky)).to.include({ event: 'error', code: 'FT_HUB' })
  })
})
