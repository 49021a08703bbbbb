// The data floor: rows from files, tokens with labels, batches, tokenizers and conversations.
export { openChat, renderChat, type Chat, type ChatOptions, type RenderChatOptions } from './chat.js'
export { describeDataset, describeRow, type DatasetDescription, type DescribeOptions, type ExamplePart, type LengthStatistics } from './describe.js'
export { columnRoles, renameColumns, TextColumnDetector, type ColumnDetection, type ColumnMap, type ColumnRole, type DetectOptions } from './detect-columns.js'
export { formats, type ParsedRow, type RowFormat } from './formats/index.js'
export { DatasetLoaderRegistry, registerLoader, type DatasetLoader, type LoadOptions } from './loaders/index.js'
export { prepareDataset, type PreparedDataset, type PrepareDatasetOptions } from './pipeline.js'
export { planEpoch, toBatch, type EpochOptions, type EpochPlan, type PackingOptions } from './plan.js'
export { quickLoad } from './quick-load.js'
export type { Message } from './templates/chat.js'
export { ChatRenderer, type RendererOptions } from './templates/renderer.js'
export {
  loadTokenizer, type Encoded, type EncodeOptions, type EncodeRequest, type StreamDecoder, type TextTokenizer, type Trust,
} from './tokenizer/index.js'
export { countSupervised, ignoreLabel, placeText, type DatasetReport, type EncodedRow, type LoadedRow, type OnBadRow, type RowPlace, type RowValue } from './types.js'
