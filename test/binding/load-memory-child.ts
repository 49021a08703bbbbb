// One process of test/binding/load-memory.test.ts: by how many bytes its resident memory grew at most while a model was loaded.
import fs from 'node:fs'
import { loadModel, type LoadModelOptions } from '../../lib/models/index.js'
import { collectGarbage, temporaryFolder, tinyConfig } from './support.js'

function statusBytes(field: 'VmRSS' | 'VmHWM'): number {
  const line = fs.readFileSync('/proc/self/status', 'utf8').split('\n').find((entry) => entry.startsWith(`${field}:`))
  return 1024 * Number(/\d+/.exec(line ?? '')?.[0])
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] ?? '') as LoadModelOptions
  const [made, tiny] = [temporaryFolder(), temporaryFolder()]
  fs.writeFileSync(`${made}/config.json`, JSON.stringify(tinyConfig))
  await using random = await loadModel({ name: made, dtype: 'bf16', device: 'cpu', init: 'random' })
  await random.save(tiny)
  await (await loadModel({ ...options, name: tiny })).dispose()
  collectGarbage()
  const before = statusBytes('VmRSS')
  fs.writeFileSync('/proc/self/clear_refs', '5') // the peak starts again from here
  const model = await loadModel(options)
  fs.writeSync(1, JSON.stringify({ grown: statusBytes('VmHWM') - before, weights: model.info.weightBytes }))
  await model.dispose()
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`)
  process.exitCode = 1
})
