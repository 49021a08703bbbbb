// Reading and taking over go on while the tokenizer works: the order of events, and of errors.
import { expect } from 'chai'
import { collectRows } from '../../../lib/data/collect.js'
import { findDataFiles } from '../../../lib/data/sources/find.js'
import { RowEncoder } from '../../../lib/data/encode.js'
import { RowReader } from '../../../lib/data/formats/reader.js'
import { BadRows } from '../../../lib/data/rows.js'
import type { TextTokenizer } from '../../../lib/data/index.js'
import { makeError } from '../../../lib/core/errors/index.js'
import { failure, temporaryFolder } from './helpers.js'

describe('collecting rows', () => {
  const folder = temporaryFolder()
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i)
  const text = (row: number): string => JSON.stringify({ text: String(row) })

  /** Row n becomes the token n; `events` tells what happened when. */
  function tokenizer(events: string[], fault?: number): TextTokenizer {
    let calls = 0
    const fake: Partial<TextTokenizer> = {
      controlTokens: [], eosTokenId: null, bosTokenId: null,
      async encodeRequests(requests) {
        const call = calls++
        events.push(`batch ${call} begins`)
        await new Promise((resolve) => setTimeout(resolve, 30))
        events.push(`batch ${call} ends`)
        if (requests.some((request) => Number(request.text) === fault)) throw makeError('FT_TOKENIZER', `row ${fault} breaks the tokenizer`, { remedy: '-' })
        return requests.map((request) => ({ ids: Int32Array.of(Number(request.text)), prefix: 0, suffix: 0 }))
      },
    }
    return fake as TextTokenizer
  }

  async function collect(lines: string[], events: string[] = [], fault?: number): Promise<number[]> {
    const files = await findDataFiles(folder.write('rows.jsonl', lines.join('\n')))
    const seen: number[] = []
    const context = { tokenizer: tokenizer(events, fault), renderer: null, trainOn: 'answers' as const, endOfTurn: true, vocabSize: 1e6 }
    await collectRows({
      files, reader: await RowReader.open(), encoder: new RowEncoder(context), badRows: new BadRows('stop'),
      onRow({ inputIds }) {
        if (seen.length % 200 === 0) events.push(`batch ${seen.length / 200} is taken`)
        seen.push(inputIds[0] as number)
        return true
      },
    })
    return seen
  }

  it('has the next batch under way when one is taken over, and never more than two', async () => {
    const events: string[] = []
    expect(await collect(range(900).map(text), events)).to.deep.equal(range(900))
    const at = (event: string): number => events.indexOf(event)
    for (const batch of [0, 1, 2, 3]) {
      expect(at(`batch ${batch + 1} begins`), `batch ${batch}`).to.be.within(0, at(`batch ${batch} is taken`) - 1)
      expect(at(`batch ${batch + 2} begins`) === -1 || at(`batch ${batch + 2} begins`) > at(`batch ${batch} is taken`), `batch ${batch}`).to.equal(true)
    }
  })

  it('reports the first fault, in whichever part it is', async () => {
    const lines = range(900).map(text)
    lines[450] = '{"text": '
    expect((await failure(() => collect(lines, [], 300), 'FT_TOKENIZER')).message).to.include('row 300')
    expect((await failure(() => collect(lines, [], 700), 'FT_DATASET_ROW')).message).to.include(':451:')
    expect((await failure(() => collect(range(900).map(text), [], 899), 'FT_TOKENIZER')).message).to.include('row 899')
  })
})
