// Greedy generation with the library, timed: the ft-native side of the question "generation". Prints JSON lines.
import { parseArgs } from 'node:util'
import { loadModel } from '../../lib/index.js'

const { values } = parseArgs({ options: { model: { type: 'string' }, prompts: { type: 'string' }, 'new-tokens': { type: 'string' }, runs: { type: 'string' }, dtype: { type: 'string' } } })

async function main(): Promise<void> {
  const model = await loadModel({ name: values.model ?? '', dtype: values.dtype === 'fp32' ? 'fp32' : 'bf16', device: 'cpu' })
  const prompts = JSON.parse(values.prompts ?? '[]') as number[][]
  await model.generateBatch(prompts, { maxNewTokens: 4, ignoreEos: true })
  for (let run = 0; run < Number(values.runs ?? 1); run++) {
    const start = performance.now()
    const rows = await model.generateBatch(prompts, { maxNewTokens: Number(values['new-tokens']), ignoreEos: true })
    const seconds = (performance.now() - start) / 1000
    console.log(JSON.stringify({ event: 'run', seconds, tokens: rows.reduce((sum, row) => sum + row.tokens.length, 0), first: rows.map((row) => row.tokens[0]) }))
  }
  await model.dispose()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
