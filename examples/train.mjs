// Training from a program: a configuration from code, events while it runs, a typed result.
//   node examples/train.mjs [output folder]
import { fileURLToPath } from 'node:url'
import { ConfigBuilder, describeError, train } from 'ft-native'

const demo = fileURLToPath(new URL('./demo/', import.meta.url))

async function main(output = './output') {
  const config = new ConfigBuilder()
    .withModel(`${demo}model`)
    .withDataset(`${demo}data.jsonl`)
    .withTokenization({ maxSeqLength: 128 })
    .withTraining('lora', output, { maxSteps: 20, batchSize: 8, learningRate: 2e-3, overwrite: true })
    .withLora({ r: 8, loraAlpha: 16, targetModules: ['q_proj', 'v_proj', 'gate_proj', 'up_proj', 'down_proj'] })
    .build()

  const result = await train(config, {
    onEvent(event) {
      if (event.event === 'step') console.log(`step ${event.step}: loss ${event.loss?.toFixed(4)}, ${Math.round(event.tokens_per_second)} tokens/s`)
      if (event.event === 'eval') console.log(`held-out loss ${event.eval_loss.toFixed(4)}`)
    },
  })
  console.log(`${result.status} after ${result.steps} steps, adapter in ${result.output}`)
}

main(process.argv[2]).catch((error) => {
  console.error(describeError(error))
  process.exitCode = 1
})
