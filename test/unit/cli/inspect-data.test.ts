// inspect data: the preview is the batch, the page is safe, hostile data stays data, and lint decides the exit code.
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { expect } from 'chai'
import { dataProgress } from '../../../lib/cli/data-progress.js'
import { pageOf } from '../../../lib/cli/inspect-data-html.js'
import { textOf } from '../../../lib/cli/inspect-data-text.js'
import { DatasetAnalyzer, loadTokenizer, prepareDataset, toBatch, type DatasetAnalysis, type RowValue } from '../../../lib/data/index.js'
import { demoModel, runModelCli } from '../support/demo-model.js'

let folder: string
before(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'ft-inspect-data-'))
})
after(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
function write(rows: readonly RowValue[]): string {
  const file = path.join(folder, `rows-${files++}.jsonl`)
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  return file
}

const evil = '</pre><script>alert(1)</script><img src=x onerror=alert(2)> \u001b[2J\u001b]0;owned\u0007\u009b31m\u202e"\'&amp; 今日 👍'
const rows: RowValue[] = [
  { text: evil }, { prompt: 'Define x:', completion: ' n. A letter.' },
  { messages: [{ role: 'user', content: evil }, { role: 'assistant', content: 'Line one\nline two <|im_end|>' }] }, { input_ids: [1, 2, 3], labels: [-100, 2, 3] },
]
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/

async function analyse(paths: string, preview = rows.length): Promise<DatasetAnalysis> {
  const tokenizer = await loadTokenizer(demoModel)
  try {
    return await new DatasetAnalyzer({ paths, tokenizer, lint: true, preview: Array.from({ length: preview }, (_, i) => i + 1) }).run()
  } finally {
    tokenizer.dispose()
  }
}

describe('inspect data', function () {
  this.timeout(120_000)

  it('previews the ids and labels that training batches, as one JSON document, and writes a page', async () => {
    const file = write(rows)
    const html = path.join(folder, 'page.html')
    const { code, stdout, stderr } = await runModelCli(['inspect', 'data', file, '--model', demoModel, '--preview', '4', '--html', html, '--json'])
    expect(code, stderr).to.equal(0)
    const document = JSON.parse(stdout) as { preview: { input_ids: number[]; labels: number[]; tokens: { text: string; learned: boolean }[] }[]; histogram: unknown[]; longest: unknown[]; kind: string }
    const tokenizer = await loadTokenizer(demoModel)
    const { train } = await prepareDataset({ paths: file, tokenizer, seed: 42, maxSeqLength: 1024, validationRatio: 0 })
    const batch = toBatch(train)
    expect(document.preview.flatMap((row) => row.input_ids)).to.deep.equal([...batch.inputIds])
    expect(document.preview.flatMap((row) => row.labels)).to.deep.equal([...batch.labels])
    for (const [i, row] of document.preview.entries()) expect(row.tokens.map(({ text }) => text).join('')).to.equal(await tokenizer.decode(train[i]!.inputIds, { skipSpecialTokens: false }))
    tokenizer.dispose()
    expect(document).to.include({ kind: 'data' })
    expect(document.longest).to.have.length(4)
    expect(readFileSync(html, 'utf8')).to.match(/^<!doctype html>/)
  })

  it('ends with 3 where lint finds something serious, with 0 where it does not', async () => {
    const bad = await runModelCli(['inspect', 'data', write([...rows, { prompt: 'Again', completion: '' }]), '--model', demoModel, '--lint'])
    expect(bad.code, bad.stderr).to.equal(3)
    expect(bad.stdout).to.match(/^error empty_rows/m).and.match(/rows-\d+\.jsonl:5: an empty completion/).and.match(/^lint: \d+ errors?, \d+ warnings?$/m)
    const good = await runModelCli(['inspect', 'data', write(rows.slice(1, 2)), '--model', demoModel, '--lint', '--json'])
    expect(good.code, good.stdout).to.equal(0)
    expect((JSON.parse(good.stdout) as { lint: object }).lint).to.deep.include({ rows: 1, errors: 0, warnings: 0, findings: [], not_run: [] })
    // Rows that cannot be read are findings, too.
    const broken = path.join(folder, 'broken.jsonl')
    writeFileSync(broken, '{"text": "fine"}\n{"text": SECRET}\n')
    const found = await runModelCli(['inspect', 'data', broken, '--lint', '--json'])
    expect(found.code).to.equal(3)
    expect((JSON.parse(found.stdout) as { lint: { findings: object[] } }).lint.findings).to.have.length(1)
    expect(found.stdout).to.include('"line": 2').and.not.include('SECRET')
  })

  it('refuses a preview without a tokenizer', async () => {
    expect(await runModelCli(['inspect', 'data', write(rows), '--preview', '2'])).to.include({ code: 2 })
  })

  it('no control character of the data reaches the terminal; learned and special tokens are told apart', async () => {
    const analysis = await analyse(write(rows))
    const plain = textOf(analysis, { example: 0, preview: 4, color: false, hint: false })
    expect(plain).not.to.match(controls)
    expect(plain).to.include('␛[2J').and.include('Define x:⟦ n. A letter.⟨<|endoftext|>⟩⟧')
    // A control token that is only text stays text.
    expect(plain).to.include('line two <|im_end|>⟨<|im_end|>⟩')
    const colored = textOf(analysis, { example: 3, preview: 2, color: true, hint: false })
    expect(colored.replaceAll(/\u001b\[(?:2|7|22|27|31|32|33|39)m/g, '')).not.to.match(controls)
    expect(colored).to.include('\u001b[32m n. A letter.\u001b[39m\u001b[32m\u001b[7m<|endoftext|>\u001b[27m\u001b[39m').and.include('\u001b[2mDefine x:\u001b[22m')
  })

  it('the page escapes everything, runs only its own script, and needs nothing from elsewhere', async () => {
    const analysis = await analyse(write(rows))
    const page = pageOf(`${evil}.jsonl`, '"><script>alert(3)</script>', analysis)
    expect(page).not.to.match(controls)
    expect(page.match(/<script\b/g)).to.have.length(1)
    expect(page).not.to.match(/<img|onerror=alert\(2\)>|https?:\/\/|<link|<iframe|\ssrc=(?!x)/)
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)?.[1]?.replaceAll('&#39;', "'") ?? ''
    expect(policy).to.match(/^default-src 'none'; style-src 'sha256-/)
    for (const [, tag, text] of page.matchAll(/<(script|style)>([\s\S]*?)<\/\1>/g)) expect(policy, tag).to.include(`'sha256-${createHash('sha256').update(text ?? '').digest('base64')}'`)
    // The policy forbids style attributes, and handlers.
    expect(page).not.to.match(/<[^>]+\s(?:style|on[a-z]+)=/)
    const shown = /<pre>([\s\S]*?)<\/pre>/.exec(page)?.[1]?.replaceAll(/<[^>]*>/g, '').replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&')
    expect(shown).to.include('</pre><script>alert(1)</script><img src=x onerror=alert(2)>').and.include('\'&amp; 今日 👍')
  })

  it('shows what filters leave out where that is asked for, as harmless as the rest, and what they could not look at', async () => {
    const paths = write([...rows, { text: 'kept' }])
    const filters = [{ length: { max_characters: 20, max_tokens: 9 } }]
    const analysis = await new DatasetAnalyzer({ paths, filters, filterExcerpts: true }).run()
    const text = textOf(analysis, { example: 0, preview: 0, color: false, hint: false })
    expect(text).to.match(/left out by length, 3 of 3:\n.*:1: \d+ characters, more than 20\n    <\/pre><script>alert/)
    expect(text).to.include('its limits in tokens are not looked at without --model')
    expect(text).not.to.match(controls)
    const page = pageOf('x', undefined, analysis)
    expect(page).to.include('Left out by filters').and.include('&lt;/pre&gt;&lt;script&gt;alert(1)')
    expect(page.match(/<script>/g)).to.have.length(1)
    expect(textOf(await new DatasetAnalyzer({ paths, filters }).run(), { example: 0, preview: 0, color: false, hint: false })).not.to.include('alert')
  })

  it('a bar comes after a second, on a terminal only, and never with --json', () => {
    let time = 0
    const drawn: string[] = []
    const progress = () => ({ update: (value: number, note = '') => void drawn.push(`${value} ${note}`), setTotal: () => undefined, stop: () => void drawn.push('stop') })
    const run = (json: boolean, interactive: boolean): string[] => {
      drawn.length = 0
      time = 0
      const bar = dataProgress({ progress, json }, 'reading', interactive, () => time)
      bar.update({ rows: 1, bytes: 1e6, totalBytes: 3e7 })
      time = 1500
      bar.update({ rows: 12_345, bytes: 1.5e7, totalBytes: 3e7 })
      bar.stop()
      bar.stop()
      return [...drawn]
    }
    expect(run(false, true)).to.deep.equal(['15000000 12,345 rows, 15 of 30 MB', 'stop'])
    expect([run(true, true), run(false, false)]).to.deep.equal([[], []])
  })
})
