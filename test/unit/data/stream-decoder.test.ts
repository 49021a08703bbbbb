// Streaming: the pieces together are the whole, and none ends inside a character.
import { expect } from 'chai'
import { loadTokenizer, type TextTokenizer } from '../../../lib/data/index.js'
import { fixture } from './helpers.js'

describe('stream decoder', () => {
  for (const folder of ['llama3-style', 'llama2-style']) {
    describe(folder, () => {
      let tokenizer: TextTokenizer
      before(async () => {
        tokenizer = await loadTokenizer(fixture(`tokenizers/${folder}`))
      })
      after(() => tokenizer.dispose())

      const encode = (text: string): Promise<Int32Array> => tokenizer.encode(text, { addSpecialTokens: false })

      it('keeps the space that follows a prompt', async () => {
        const prompt = await encode('The harbour')
        const whole = await encode('The harbour was quiet')
        const stream = tokenizer.streamDecoder({ before: prompt })
        let text = ''
        for (const id of whole.slice(prompt.length)) text += await stream.push(id)
        expect(text + (await stream.end())).to.equal(' was quiet')
      })

      it('holds back what is not a character yet, and gives up on what never becomes one', async () => {
        const bytes = await encode('👨‍👩‍👧‍👦')
        const stream = tokenizer.streamDecoder()
        const pieces: string[] = []
        for (const id of bytes) pieces.push(await stream.push(id))
        expect(pieces.join('')).to.equal('👨‍👩‍👧‍👦')
        expect(pieces.every((piece) => !/[\ufffd\p{Surrogate}]/u.test(piece))).to.equal(true)
        const cut = tokenizer.streamDecoder()
        expect(await cut.push([...bytes.slice(0, 2)])).to.equal('')
        expect(await cut.end()).to.match(/^\ufffd+$/)
        expect(await cut.end()).to.equal('')
        const broken = tokenizer.streamDecoder()
        let text = ''
        for (let i = 0; i < 300; i++) text += await broken.push(bytes[1]!)
        expect(text).to.match(/^\ufffd{100,}$/)
      })

      it('leaves special tokens out unless they are asked for', async () => {
        const eos = tokenizer.eosTokenId!
        const ids = [...(await encode('one')), eos, ...(await encode('two'))]
        const read = async (skipSpecialTokens: boolean): Promise<string> => {
          const stream = tokenizer.streamDecoder({ skipSpecialTokens })
          let text = ''
          for (const id of ids) text += await stream.push(id)
          return text + (await stream.end())
        }
        expect(await read(true)).to.equal(await tokenizer.decode(ids, { skipSpecialTokens: true }))
        expect(await read(false)).to.equal(await tokenizer.decode(ids))
      })
    })
  }
})
