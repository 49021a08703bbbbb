// The first row of a data set of the hub, streamed. The ft-native side of the question "hub". Prints one JSON line.
import { parseArgs } from 'node:util'
import { setupLogger, streamRows } from '../../lib/index.js'

const { values } = parseArgs({ options: { data: { type: 'string' } } })

async function main(): Promise<void> {
  setupLogger({ level: 'warn' })
  const start = performance.now()
  for await (const row of await streamRows(values.data ?? '')) {
    const seconds = (performance.now() - start) / 1000
    console.log(JSON.stringify({ event: 'end', seconds, characters: 'value' in row ? String(row.value.text).length : 0, peak_rss_bytes: process.resourceUsage().maxRSS * 1024 }))
    break
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
