// The public surface of ft-native, nothing else. Importing it loads neither the addon nor zod, winston or yaml.
export * from './core/errors/classes.js'
export { describeError, errorCodes, exitCodeOf, fail, makeError, type ErrorCode } from './core/errors/index.js'
export {
  ConfigBuilder, configFlags, configJsonSchema, configToYaml, isExplicit, loadConfig, TrainingMethod,
  type ConfigOrigins, type ConfigSources, type DatasetConfig, type EvaluationConfig, type LoadedConfig, type LoggingConfig, type LoraConfig,
  type ModelConfig, type Origin, type ResolvedConfig, type TokenizationConfig, type TrainingConfig,
} from './core/config/index.js'
export {
  getLogger, LogContext, logDatasetInfo, logModelInfo, LogProgress, setupLogger,
  type LogFields, type Logger, type LoggerOptions, type LogLevel,
} from './utils/logging.js'
