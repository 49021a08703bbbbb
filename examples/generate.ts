// Text from a model, piece by piece as it is made.
//   npx tsx examples/generate.ts [model folder] [prompt]
import { fileURLToPath } from 'node:url'
import { describeError, loadModel } from 'ft-native'

const demoModel = fileURLToPath(new URL('./demo/model', import.meta.url))

async function main(name = demoModel, prompt = 'The whale'): Promise<void> {
  await using model = await loadModel(name)
  process.stdout.write(prompt)
  for await (const piece of model.generate(prompt, { maxNewTokens: 40, temperature: 0.8, topP: 0.95, seed: 1 })) process.stdout.write(piece)
  process.stdout.write('\n')
}

main(...process.argv.slice(2)).catch((error: unknown) => {
  console.error(describeError(error))
  process.exitCode = 1
})
