// Training: the run and its parts, as the library offers them.
export { benchmark, defineTrainer, FullFineTuner, LoRATrainer, QLoRATrainer, train, TrainerFactory, type Trainer, type TrainerConstructor, type TrainerParts, type TrainingResult, type TrainOptions } from './factory.js'
export { type BenchmarkOptions, type BenchmarkReport } from './benchmark/index.js'
export { type Batch, type EngineModel, type EngineOptimizer, type EnginePass, type MemoryEstimator, type MemoryShape, type StepOutcome, type StepSettings, type TrainingBackend, type TrainingMemory } from './engine.js'
export { type AutoBatchEvent, type CheckpointEvent, type EndEvent, type EvalEvent, type StartEvent, type StepEvent, type TrainingEvent } from './events.js'
export { full as fullMethod, lora as loraMethod, qlora as qloraMethod, type TrainingMethod as TrainingMethodDefinition } from './methods/index.js'
export { fromLogprobs, sft, type LogprobContext, type LogprobLoss, type Objective } from './objectives/index.js'
export { schedules, type Schedule, type ScheduleShape } from './schedules.js'
export { next as nextTrainingState, type TrainingMove, type TrainingState } from './state.js'
