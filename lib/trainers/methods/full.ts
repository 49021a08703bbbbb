// Full fine-tuning: every weight learns; the result is a whole model.
import type { MethodContext, PlannedMethod, TrainingMethod } from './method.js'
import { fail } from '../../core/errors/index.js'

export const full: TrainingMethod = {
  name: 'full',
  produces: 'model',
  async plan({ config, backend, source }: MethodContext): Promise<PlannedMethod> {
    if (config.training.adapter !== undefined) {
      fail('FT_INCOMPATIBLE_CONFIG', 'training.adapter cannot be used with full fine-tuning', {
        remedy: 'use --method lora, or merge the adapter into its base first (ft-native merge)',
      })
    }
    const { quantization } = await backend.inspectModel(source, { init: config.model.init })
    if (config.model.init === 'pretrained' && quantization !== undefined && quantization !== null) {
      fail('FT_INCOMPATIBLE_CONFIG', `training.method full trains all weights, and ${source.name} holds its in fewer bits (${quantization}), which cannot be trained`, {
        remedy: 'use --method qlora or lora, or make the weights plain first (ft-native export --format plain)',
      })
    }
    return await Promise.resolve({ inputs: {}, summary: {}, attach: (model) => backend.trainAllWeights(model, source) })
  },
}
