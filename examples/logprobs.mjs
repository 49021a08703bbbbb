// What a model computes: logits of every position, and how likely it finds a text.
//   node examples/logprobs.mjs [model folder]
import { fileURLToPath } from 'node:url'
import { describeError, loadModel } from 'ft-native'

const demoModel = fileURLToPath(new URL('./demo/model', import.meta.url))

async function main(name = demoModel) {
  const model = await loadModel({ name, dtype: 'fp32', device: 'cpu' })
  try {
    const tokenizer = await model.tokenizer()
    const texts = ['The captain of the ship', 'ship the of captain The']
    const rows = await tokenizer.encodeBatch(texts)

    // logits: Float32Array, [batch, seq, vocab]; rows may differ in length, zeros stand behind their ends
    const { logits, shape } = await model.forward(rows)
    console.log(`logits: ${shape.join(' × ')}, ${logits.length} values`)

    // logprobs: [batch, seq]; position t holds log p(token t | tokens before t), 0 at the first
    const { logprobs, shape: [, longest] } = await model.logprobs(rows)
    for (const [index, text] of texts.entries()) {
      const length = rows[index].length
      const sum = logprobs.subarray(index * longest, index * longest + length).reduce((total, value) => total + value, 0)
      console.log(`${JSON.stringify(text)}: ${(sum / (length - 1)).toFixed(3)} nats a token`)
    }
  } finally {
    await model.dispose()
  }
}

main(process.argv[2]).catch((error) => {
  console.error(describeError(error))
  process.exitCode = 1
})
