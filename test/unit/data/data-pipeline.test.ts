// The library's ways into the data floor: sections of a configuration, and a quick look.
import { expect } from 'chai'
import { ConfigBuilder } from '../../../lib/core/config/index.js'
import { DataPipeline, DatasetFilter, DatasetStatistics, InstructionStrategy, loadTokenizer, prepareDataset, quickLoad, type TextTokenizer } from '../../../lib/data/index.js'
import { failure, fixture, temporaryFolder } from './helpers.js'

describe('the data pipeline of the library', () => {
  const folder = temporaryFolder()
  let tokenizer: TextTokenizer
  let path: string
  before(async () => {
    tokenizer = await loadTokenizer(fixture('tokenizers/llama3-style'))
    path = folder.write('rows.jsonl', Array.from({ length: 40 }, (_, i) => JSON.stringify({ prompt: `row ${i}:`, completion: ` ${'word '.repeat(i % 7)}` })).join('\n'))
  })
  after(() => tokenizer.dispose())

  it('takes the sections of a configuration', async () => {
    const config = new ConfigBuilder().withModel('./model').withDataset(path, { validationRatio: 0.25 }).withTokenization({ maxSeqLength: 64 }).build()
    const byOptions = await prepareDataset({ paths: path, validationRatio: 0.25, seed: 42, tokenizer, maxSeqLength: 64 })
    const bySections = await prepareDataset(config.dataset, config.tokenization, tokenizer)
    expect(bySections.train).to.deep.equal(byOptions.train)
    expect(bySections.validation).to.deep.equal(byOptions.validation).and.have.lengthOf(10)
    expect((await prepareDataset({ path }, {}, tokenizer)).train).to.have.lengthOf(36)
  })

  it('takes no section that a configuration could not hold, and both spellings', async () => {
    for (const [dataset, tokenization, code, what] of [
      [{ path, filtrs: ['empty'] }, {}, 'FT_UNKNOWN_CONFIG_KEY', 'dataset.filtrs'], [{ path }, { maxSeqLen: 3 }, 'FT_UNKNOWN_CONFIG_KEY', 'tokenization.maxSeqLen'],
      [{ path, validationRatio: '0.5' }, {}, 'FT_INVALID_CONFIG', 'dataset.validation_ratio'], [{ path }, { overflow: 'cut' }, 'FT_INVALID_CONFIG', 'tokenization.overflow'],
      [{ path, maxSamples: 3, max_samples: 4 }, {}, 'FT_INVALID_CONFIG', 'same key'],
    ] as const) {
      expect((await failure(() => prepareDataset(dataset as never, tokenization as never, tokenizer), code)).message).to.include(what)
    }
    const { train, validation } = await prepareDataset({ path, validation_ratio: 0.5 } as never, { max_seq_length: 64 } as never, tokenizer)
    expect([train.length, validation.length]).to.deep.equal([20, 20])
    await failure(() => new DataPipeline({ path }, {}, tokenizer).run({ validationRatio: '0.5' as never }), 'FT_INVALID_ARGUMENT')
  })

  it('says what is missing where a tokenizer or a row is meant', async () => {
    for (const wrong of [null, './model', 5, {}]) {
      await failure(() => new DataPipeline({ path }, {}, wrong as never), 'FT_INVALID_ARGUMENT')
      if (typeof wrong !== 'object' || wrong === null) await failure(() => quickLoad(path, wrong as never), 'FT_INVALID_ARGUMENT')
      await failure(() => prepareDataset({ paths: path, tokenizer: wrong as never, seed: 1, maxSeqLength: 8 }), 'FT_INVALID_ARGUMENT')
    }
    for (const row of [null, {}, { text: 'a' }, { text: 'a', shape: 'text' }, { text: 5, shape: 'text', place: { file: 'f', line: 1 } }]) await failure(() => new DatasetStatistics().add(row as never), 'FT_INVALID_ARGUMENT')
    await failure(async () => { for await (const _ of new DatasetFilter('empty').apply([{ text: 'a' }] as never)) break }, 'FT_INVALID_ARGUMENT')
    for (const columns of [null, { instruction: 'q' }, { instruction: 'q', output: 'a' }]) await failure(() => new InstructionStrategy(columns as never), 'FT_INVALID_ARGUMENT')
  })

  it('splits as it is told', async () => {
    const pipeline = new DataPipeline({ path }, { maxSeqLength: 64 }, tokenizer)
    const { train, validation } = await pipeline.run({ splitForValidation: true, validationRatio: 0.5 })
    expect([train.length, validation.length]).to.deep.equal([20, 20])
    expect((await pipeline.run({ splitForValidation: false })).validation).to.deep.equal([])
    await failure(() => new DataPipeline({} as never, {}, tokenizer), 'FT_INVALID_ARGUMENT')
    await failure(() => pipeline.run({ ratio: 0.5 } as never), 'FT_INVALID_ARGUMENT')
  })

  it('loads the first rows quickly, as objects or as tokens', async () => {
    expect(await quickLoad(path, { maxSamples: 3 })).to.deep.equal((await quickLoad(path)).slice(0, 3))
    const all = await prepareDataset({ paths: path, validationRatio: 0, seed: 1, tokenizer, maxSeqLength: 1024 })
    expect(await quickLoad(path, tokenizer, { maxSamples: 7 })).to.deep.equal(all.train.slice(0, 7))
    expect(await quickLoad(path, tokenizer)).to.have.lengthOf(40)
    for (const maxSamples of [0, -1, 1.5]) await failure(() => quickLoad(path, tokenizer, { maxSamples }), 'FT_INVALID_ARGUMENT')
  })

  it('reads no more rows than it is told', async () => {
    const broken = folder.write('broken.jsonl', '{"text": "a"}\n{"text": "b"}\nnot JSON')
    expect((await prepareDataset({ paths: broken, seed: 1, tokenizer, maxSeqLength: 64, maxSamples: 2, validationRatio: 0 })).train).to.have.lengthOf(2)
    await failure(() => prepareDataset({ paths: broken, seed: 1, tokenizer, maxSeqLength: 64, validationRatio: 0 }), 'FT_DATASET_ROW')
  })
})
