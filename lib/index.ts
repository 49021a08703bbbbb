// The public surface of ft-native, nothing else. Importing it does not load the addon: that happens with the
// first model.
export * from './core/errors/classes.js'
export { describeError, errorCodes, exitCodeOf, fail, makeError, type ErrorCode } from './core/errors/index.js'
export {
  ConfigBuilder, configFlags, configJsonSchema, configToYaml, DatasetSource, isExplicit, loadConfig, TrainingMethod,
  type ConfigOrigins, type ConfigSources, type DatasetConfig, type EvaluationConfig, type LoadedConfig, type LoggingConfig, type LoraConfig,
  type ModelConfig, type Origin, type ResolvedConfig, type TokenizationConfig, type TrainingConfig,
} from './core/config/index.js'
export {
  addLogFile, getLogger, LogContext, logDatasetInfo, logModelInfo, LogProgress, setupLogger,
  type LogFields, type LogFile, type Logger, type LoggerOptions, type LogLevel,
} from './utils/logging.js'
export {
  DataPipeline, DatasetAnalyzer, DatasetFilter, DatasetLinter, DatasetLoaderRegistry, DatasetStatistics, describeDataset, formats, ignoreLabel, InstructionStrategy, loadTokenizer, MultiColumnStrategy, packRows, planEpoch, prepareDataset, quickLoad, registerLoader, renderChat, rowLength, streamRows,
  SingleColumnStrategy, TemplateStrategy, TextColumnDetector, toBatch,
  type DataInput, type DataSource, type RowCursor, type RowSource, type RowStream, type SourceSettings, type StreamOrder, type StreamRowsOptions, type ColumnDetection, type ColumnMap, type ColumnStrategy, type DatasetSection, type PipelineRunOptions, type QuickLoadOptions, type QuickTokensOptions, type TokenizationSection, type InstructionColumns, type TemplateConfig, type DatasetLoader, type DatasetReport, type EncodedRow, type EncodeOptions, type FilterInput, type FilterReport, type LoadedRow, type LoadOptions, type Message, type PreparedDataset,
  type PrepareDatasetOptions, type RowFormat, type SplitOptions, type StreamDecoder, type TextTokenizer,
} from './data/index.js'
export {
  Adapter, createOptimizer, diagnostics, estimateMemory, exportModel, inspectModel, loadModel, loadModelAndTokenizer, mergeAdapter, Model, ModelLoader, Optimizer, Pass, saveModelFolder,
  TargetModuleDetector,
  type AddAdapterOptions, type BatchInput, type EstimateOptions, type ExportFormat, type ExportOptions, type GenerateBatchOptions, type GeneratedRow, type GenerateOptions, type LoadModelOptions, type LoraOptions,
  type MemoryEstimate, type MergeOptions, type MergeResult, type ModelInfo, type ModelInspection, type OptimizerOptions, type PassOptions, type QuantizationOptions, type RowBatch, type StepOptions,
  type StepResult, type TargetModules, type TokenRow,
} from './models/index.js'
export {
  defineTrainer, FullFineTuner, fromLogprobs, fullMethod, loraMethod, LoRATrainer, qloraMethod, QLoRATrainer, schedules, train, TrainerFactory,
  type AutoBatchEvent, type CheckpointEvent, type EndEvent, type EvalEvent, type LogprobLoss, type Objective, type Schedule, type StartEvent, type StepEvent, type Trainer,
  type TrainerConstructor, type TrainingEvent, type TrainingMethodDefinition, type TrainingResult, type TrainOptions,
} from './trainers/index.js'
