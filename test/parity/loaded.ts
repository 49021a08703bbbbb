// A model that is loaded for one use, in fp32 on the CPU unless it is told otherwise.
import { loadModel, type LoadModelOptions, type Model } from '../../lib/models/index.js'

export const cpu = { dtype: 'fp32', device: 'cpu' } as const

export async function using<T>(options: LoadModelOptions | string, use: (model: Model) => Promise<T>): Promise<T> {
  const model = await loadModel(typeof options === 'string' ? { name: options, ...cpu } : { ...cpu, ...options })
  try {
    return await use(model)
  } finally {
    await model.dispose()
  }
}
