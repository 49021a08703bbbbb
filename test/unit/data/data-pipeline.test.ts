// The library's ways into the data floor: sections of a configuration, and a quick look.
import { expect } from 'chai'
import { ConfigBuilder } from '../../../lib/core/config/index.js'
import { DataPipeline, loadTokenizer, prepareDataset, quickLoad, type TextTokenizer } from '../../../lib/data/index.js'
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
