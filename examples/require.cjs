// The package from CommonJS: require() works as import does.
//   node examples/require.cjs
const path = require('node:path')
const { ModelLoader, TargetModuleDetector } = require('ft-native')

async function main() {
  const model = await new ModelLoader().inspect(path.join(__dirname, 'demo', 'model')) // headers alone, no weights
  console.log(`${model.modelType}: ${model.numParameters} parameters, ${model.numHiddenLayers} layers`)
  console.log('attention layers:', new TargetModuleDetector(model).resolve('.*self_attn.*').length)
}

main().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
