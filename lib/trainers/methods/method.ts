// A training method: what becomes trainable, and which files hold it. It is asked twice: before the weights are read,
// so that mistakes show early, and with the loaded model.
import type { ResolvedConfig } from '../../core/config/index.js'
import type { RunInputs } from '../checkpoints/inputs.js'
import type { AdapterSettings, EngineModel, ModelSource, TrainedWeights, TrainingBackend } from '../engine.js'

export interface MethodContext {
  config: ResolvedConfig
  backend: TrainingBackend
  source: ModelSource
}

export interface PlannedMethod {
  /** What the numbers depend on beyond the sections that every method shares. */
  inputs: RunInputs
  /** Of the adapter that is trained, for the estimate of memory. Default: the section lora of the configuration. */
  adapter?: AdapterSettings
  /** For the model card. */
  summary: Record<string, string | number | boolean>
  attach(model: EngineModel): Promise<TrainedWeights>
}

export interface TrainingMethod {
  readonly name: string
  /** An adapter beside the base, or the whole model. */
  readonly produces: 'adapter' | 'model'
  plan(context: MethodContext): Promise<PlannedMethod>
}
