// One process of test/binding/memory.test.ts: trains as its argument says and prints the most bytes of tensors at a time, and what
// was estimated for them. Small tensors are not counted by the engine, so that the model must not be tiny.
import fs from 'node:fs'
import { createOptimizer, estimateMemory, loadModel } from '../../lib/models/index.js'
import { native } from '../../lib/native/binding.js'

interface Asked { model: string; method: 'lora' | 'full'; dtype: 'bf16' | 'fp32'; rows: number[]; gradientCheckpointing: boolean | number; optimizer: 'adamw' | 'adamw_8bit' }

async function main(): Promise<void> {
  const { model: name, method, dtype, rows, gradientCheckpointing, optimizer: type } = JSON.parse(process.argv[2] ?? '') as Asked
  const shared = { name, dtype, device: 'cpu', init: 'random' } as const
  const estimate = await estimateMemory({ ...shared, method, rows, gradientCheckpointing, optimizer: type })
  const model = await loadModel(shared)
  if (method === 'full') await model.setTrainable()
  else await model.addAdapter({ r: 16 })
  const optimizer = await createOptimizer(model, { type, gradientCheckpointing })
  const inputIds = rows.map((length, row) => Int32Array.from({ length }, (_, index) => (index * 7 + row * 13) % model.info.vocabSize))
  for (let step = 0; step < 2; step++) await optimizer.step({ inputIds, labels: inputIds })
  fs.writeSync(1, JSON.stringify({ measured: native().memory().peakTensorBytes, estimated: estimate.totalBytes - estimate.runtimeBytes - estimate.fragmentationBytes }))
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`)
  process.exitCode = 1
})
