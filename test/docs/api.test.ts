// docs/api.md says what is there: every export, exit code, error class and event field.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect } from 'chai'
import { commands } from '../../lib/cli/commands/index.js'
import { errorCodes } from '../../lib/core/errors/index.js'
import * as api from '../../lib/index.js'
import { makeSandbox, root } from './blocks.js'

const page = readFileSync(path.join(root, 'docs', 'api.md'), 'utf8')

/** First cells of the rows of the table under a heading, with the rest of the row. */
function tableUnder(heading: string): Map<string, string> {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? ''
  const rows = [...section.matchAll(/^\| (.+?) \| (.*) \|$/gm)].map(([, first = '', rest = '']): [string, string] => [first.replaceAll('`', ''), rest])
  return new Map(rows)
}

describe('docs/api.md', () => {
  it('names every export', () => {
    for (const name of Object.keys(api)) expect(new RegExp(`\\b${name}\\b`).test(page), name).to.equal(true)
  })

  it('has every exit code', () => {
    const known = [...tableUnder('Exit codes').keys()].flatMap((cell) => cell.split(', ')).map(Number)
    for (const [code, { exitCode }] of Object.entries(errorCodes)) expect(known, code).to.include(exitCode)
  })

  it('has every command that prints a document', () => {
    const told = [...tableUnder('Command line').keys()].join(' ')
    for (const { name } of commands) if (name !== 'train' && name !== 'demo') expect(told).to.match(new RegExp(`\\b${name}\\b`))
  })

  it('has every field of every event of a run', function () {
    this.timeout(120_000)
    const events = tableUnder('Events')
    const sandbox = makeSandbox()
    try {
      const { status, stdout, stderr } = sandbox.shell('npx ft-native train --model ./model --data ./data.jsonl --output ./out --max-steps 4 --validation-ratio 0.2 --json')
      expect(status, stderr).to.equal(0)
      const seen = new Set<string>()
      for (const line of stdout.trimEnd().split('\n')) {
        const { event, ...fields } = JSON.parse(line) as { event: string } & Record<string, unknown>
        seen.add(event)
        const told = events.get(event) ?? ''
        for (const field of Object.keys(fields)) expect(told, `${event}.${field}`).to.include(`\`${field}\``)
      }
      expect([...seen].sort()).to.deep.equal(['checkpoint', 'end', 'eval', 'start', 'step'])
    } finally {
      sandbox.remove()
    }
  })
})
