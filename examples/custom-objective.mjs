// An objective of your own over log-probabilities: DPO (Rafailov et al. 2023, arXiv 2305.18290) in one function.
// forwardPass gives the log-probabilities, you give back d loss / d logprobs, the engine does the rest.
//   node examples/custom-objective.mjs
import { fileURLToPath } from 'node:url'
import { createOptimizer, describeError, loadModel } from 'ft-native'

const demoModel = fileURLToPath(new URL('./demo/model', import.meta.url))
const pairs = [
  { prompt: 'Define sea:', chosen: ' n. A large body of water.', rejected: ' the sea, the sea, the sea.' },
  { prompt: 'Define ship:', chosen: ' n. A vessel that floats.', rejected: ' the ship, the ship, the ship.' },
]
const beta = 0.1

/** Rows in the order chosen, rejected, chosen, … with -100 where the prompt is. */
async function batchOf(tokenizer) {
  const rows = []
  for (const { prompt, chosen, rejected } of pairs) {
    const promptLength = (await tokenizer.encode(prompt)).length
    for (const answer of [chosen, rejected]) {
      const inputIds = await tokenizer.encode(prompt + answer)
      rows.push({ inputIds, labels: inputIds.map((id, index) => (index < promptLength ? -100 : id)) })
    }
  }
  return { inputIds: rows.map((row) => row.inputIds), labels: rows.map((row) => row.labels) }
}

/** Sum of the log-probabilities of each row; positions without a label are 0. cuSeqlens: where each row begins. */
function sumRows({ logprobs, cuSeqlens }) {
  return Array.from({ length: cuSeqlens.length - 1 }, (_, row) => logprobs.subarray(cuSeqlens[row], cuSeqlens[row + 1]).reduce((a, b) => a + b, 0))
}

/** loss = -mean log σ(β · margin); margin: how much more the policy prefers the chosen answer than the reference does. */
function dpo(pass, reference) {
  const { logprobs, labels, cuSeqlens } = pass
  const sums = sumRows(pass)
  const gradient = new Float32Array(logprobs.length)
  let loss = 0
  for (let pair = 0; pair < pairs.length; pair++) {
    const margin = sums[2 * pair] - reference[2 * pair] - (sums[2 * pair + 1] - reference[2 * pair + 1])
    loss += Math.log1p(Math.exp(-beta * margin)) / pairs.length
    const slope = -beta / (1 + Math.exp(beta * margin)) / pairs.length // d loss / d margin
    for (let token = cuSeqlens[2 * pair]; token < cuSeqlens[2 * pair + 2]; token++) {
      if (labels[token] !== -100) gradient[token] = token < cuSeqlens[2 * pair + 1] ? slope : -slope
    }
  }
  return { loss, gradient }
}

async function main() {
  const model = await loadModel({ name: demoModel, dtype: 'fp32', device: 'cpu' })
  try {
    const batch = await batchOf(await model.tokenizer())
    await model.addAdapter({ r: 8, loraAlpha: 16 })
    const optimizer = await createOptimizer(model, { learningRate: 1e-3 })

    let reference // B starts at zero: before the first step the policy is the reference
    for (let step = 0; step < 10; step++) {
      const pass = await model.forwardPass(batch, { step })
      try {
        reference ??= sumRows(pass)
        const { loss, gradient } = dpo(pass, reference)
        await pass.backward(gradient)
        const { gradNorm } = await optimizer.apply()
        console.log(`step ${step + 1}: loss ${loss.toFixed(4)}, gradient norm ${gradNorm.toFixed(3)}`)
      } finally {
        pass.dispose()
      }
    }
    await optimizer.dispose()
  } finally {
    await model.dispose()
  }
}

main().catch((error) => {
  console.error(describeError(error))
  process.exitCode = 1
})
