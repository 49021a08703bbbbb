// What `inspect data` does without a tokenizer, timed: columns found, lengths, duplicates. The ft-native side of the question
// "inspecting". Prints one JSON line.
import { parseArgs } from 'node:util'
import { DatasetAnalyzer, setupLogger } from '../../lib/index.js'

const { values } = parseArgs({ options: { data: { type: 'string' } } })

async function main(): Promise<void> {
  setupLogger({ level: 'warn' })
  const before = process.cpuUsage()
  const start = performance.now()
  const { rows, detection, statistics } = await new DatasetAnalyzer({ paths: values.data ?? '' }).run()
  const seconds = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(before)
  console.log(JSON.stringify({
    event: 'end', seconds, cpu_seconds: (user + system) / 1e6, rows, columns: detection.length, duplicates: statistics.duplicates.rows, peak_rss_bytes: process.resourceUsage().maxRSS * 1024,
  }))
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
