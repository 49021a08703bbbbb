// Text through the library's data pipeline, timed, while a timer watches the event loop: the ft-native side of the
// question "tokenizing". Prints one JSON line.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { loadTokenizer, prepareDataset, setupLogger } from '../../lib/index.js'

const { values } = parseArgs({ options: { model: { type: 'string' }, data: { type: 'string' } } })

async function main(): Promise<void> {
  setupLogger({ level: 'warn' })
  const tokenizer = await loadTokenizer(values.model ?? '')
  const resolution = 10
  const delay = monitorEventLoopDelay({ resolution })
  delay.enable()
  const start = performance.now()
  const { report } = await prepareDataset({ paths: values.data ?? '', tokenizer, seed: 42, maxSeqLength: 1_000_000, validationRatio: 0 })
  const seconds = (performance.now() - start) / 1000
  delay.disable()
  // What it measures is the time between two ticks of its timer.
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolution)
  console.log(JSON.stringify({
    event: 'end', seconds, tokens: report.tokens, rows: report.rows, peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
    event_loop_ms: { p99: late(delay.percentile(99)), max: late(delay.max) },
  }))
  tokenizer.dispose()
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
