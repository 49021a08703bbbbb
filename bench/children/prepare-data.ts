// A JSONL file to packed windows of token ids and the first batch of them: the ft-native side of the question "data". Prints one JSON line.
import { parseArgs } from 'node:util'
import { loadTokenizer, planEpoch, prepareDataset, rowLength, setupLogger, toBatch } from '../../lib/index.js'

const { values } = parseArgs({ options: { model: { type: 'string' }, data: { type: 'string' }, cache: { type: 'string' }, window: { type: 'string' } } })

async function main(): Promise<void> {
  setupLogger({ level: 'warn' })
  const windowLength = Number(values.window)
  const start = performance.now()
  const tokenizer = await loadTokenizer(values.model ?? '')
  const { train, report } = await prepareDataset({
    paths: values.data ?? '', tokenizer, seed: 42, maxSeqLength: windowLength, validationRatio: 0, allowTruncation: true, cache: { folder: values.cache, leastBytes: 0 },
  })
  const packing = { lengths: Int32Array.from(train, rowLength), windowLength }
  const steps = planEpoch({ rows: train.length, batchSize: 4, accumulation: 1, shuffle: true, seed: 42, epoch: 0, packing })
  const first = toBatch((steps.at(0) ?? []).flat().flatMap((row) => train[row] ?? []))
  const seconds = (performance.now() - start) / 1000
  console.log(JSON.stringify({
    event: 'end', seconds, tokens: report.tokens, rows: report.rows, first_batch_tokens: first.inputIds.length,
    fill: report.tokens / (Math.ceil(steps.length * 4) * windowLength), peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
  }))
  tokenizer.dispose()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
