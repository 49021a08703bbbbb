// JSONL files of text for the questions about data: rows of some hundred words, drawn from the demo's rows. Made once.
import fs from 'node:fs'
import path from 'node:path'
import { generator } from './inputs.js'
import { repository } from './programs.js'

export function textFile(cache: string, megabytes: number): string {
  const file = path.join(cache, `text-${megabytes}.jsonl`)
  if (fs.existsSync(file)) return file
  const pieces = fs.readFileSync(path.join(repository, 'examples', 'demo', 'data.jsonl'), 'utf8').trim().split('\n').map((line) => {
    const row = JSON.parse(line) as Record<string, string>
    return Object.values(row).join('')
  })
  const random = generator(13)
  const fd = fs.openSync(`${file}.part`, 'w')
  for (let written = 0; written < megabytes * 1e6; ) {
    let block = ''
    while (block.length < 1e6) {
      const text = Array.from({ length: 2 + Math.floor(random() * 12) }, () => pieces[Math.floor(random() * pieces.length)]).join('\n')
      block += `${JSON.stringify({ text })}\n`
    }
    written += fs.writeSync(fd, block)
  }
  fs.closeSync(fd)
  fs.renameSync(`${file}.part`, file)
  return file
}
