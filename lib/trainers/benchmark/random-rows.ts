// Rows of random tokens for a benchmark without data: each as long as a row may be, and every token learned.
import type { ResolvedConfig } from '../../core/config/index.js'
import type { EncodedRow, PreparedDataset, TextTokenizer } from '../../data/index.js'
import { randomStream } from '../../data/random.js'
import type { TrainingBackend } from '../engine.js'

/** Different batches before they repeat. */
const differentSteps = 4

export function randomRow(length: number, vocabSize: number, next: () => number): EncodedRow {
  const inputIds = Int32Array.from({ length }, () => next() % vocabSize)
  return { inputIds, labels: inputIds }
}

/** The backend with random rows in the place of files; it needs no tokenizer. */
export function withRandomRows(backend: TrainingBackend): TrainingBackend {
  return {
    ...backend,
    loadTokenizer: () => Promise.resolve({ kind: 'none', files: [], dispose: () => undefined } as unknown as TextTokenizer),
    async prepareData({ config }) {
      const info = await backend.inspectModel(await backend.resolveModel(config), { init: config.model.init })
      return randomData(config, info.vocabSize)
    },
  }
}

function randomData({ training, tokenization }: ResolvedConfig, vocabSize: number): PreparedDataset {
  const rows = differentSteps * training.batchSize * training.gradientAccumulationSteps
  const next = randomStream(training.seed)
  const train = Array.from({ length: rows }, () => randomRow(tokenization.maxSeqLength, vocabSize, next))
  const tokens = rows * tokenization.maxSeqLength
  const report = {
    rows, skippedBadRows: 0, badRowExamples: [], truncatedRows: 0, droppedRows: 0, splitRows: 0, lostSupervisedTokens: 0, supervisedTokens: tokens - rows, tokens,
    maxLength: tokenization.maxSeqLength, rowsWithoutLabels: 0, rowsWithoutLabelsExamples: [], shapes: { random: rows }, detection: [], filtered: [], warnings: [],
  }
  return { train, validation: [], report, fingerprint: '', templateDate: null }
}
