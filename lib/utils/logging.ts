// Logging through winston: people read the console (stderr, colours on a terminal), files keep plain or
// JSON lines. Every line loses its secrets first.
export { redact, redactDeep } from '../core/redact.js'
export { logDatasetInfo, logModelInfo, type DatasetFacts, type ModelFacts } from './log-info.js'
export { LogContext, LogProgress, type LogProgressOptions } from './log-tasks.js'
export {
  addLogFile, getLogger, logLevels, setupLogger, withLogFields,
  type LogFields, type LogFile, type Logger, type LoggerOptions, type LogLevel,
} from './logger.js'
