// `inspect` of data files: how many rows of which shape; with a tokenizer also how long they are, what truncation would take,
// and one row with what is learned of it.
import { fail } from '../core/errors/index.js'
import { describeDataset, loadTokenizer, type DatasetDescription, type ExamplePart } from '../data/index.js'
import { describeShapes } from './inspect-shapes.js'
import { resolveModelFolder } from '../models/resolve.js'
import { formatBytes, formatCount } from '../utils/terminal.js'
import { readConfigEntries } from './config-input.js'
import type { CliContext } from './context.js'
import { facts } from './inspect-model.js'
import type { ParsedFlags } from './parsed-flags.js'

export async function showData(target: string, flags: ParsedFlags, context: CliContext): Promise<void> {
  const entries = readConfigEntries({ positionals: {}, flags })
  const valueOf = <T>(dotted: string): T => entries.find((entry) => entry.key.dotted === dotted)?.value as T
  const onBadRow = valueOf<'stop' | 'skip'>('dataset.on_bad_row')
  const model = flags.text('model')
  if (model === undefined) return await showShapes(target, onBadRow, context)
  const example = flags.integer('example', { min: 0 }) ?? 1
  const tokenizer = await loadTokenizer(await resolveModelFolder(model, process.env, { need: 'tokenizer', signal: context.signal }))
  try {
    const description = await describeDataset({
      paths: target,
      tokenizer,
      maxSeqLength: valueOf<number>('tokenization.max_seq_length'),
      trainOnPrompt: valueOf<boolean>('tokenization.train_on_prompt'),
      chatTemplate: valueOf<string | undefined>('tokenization.chat_template'),
      onBadRow,
      exampleRow: example - 1,
      signal: context.signal,
    })
    if (description.report.rows < example) fail('FT_USAGE', `--example ${example}: there are ${description.report.rows} rows`, { remedy: 'name one that is there' })
    context.document({ kind: 'data', model, ...documentOf(description) })
    context.print(textOf(description, context.color))
  } finally {
    tokenizer.dispose()
  }
}

async function showShapes(target: string, onBadRow: 'stop' | 'skip', context: CliContext): Promise<void> {
  const { files, rows, shapes, skipped, examples } = await describeShapes(target, onBadRow)
  context.document({ kind: 'data', files, rows, shapes, skipped_bad_rows: skipped, bad_row_examples: examples })
  context.print(facts([...fileFacts(files), ...rowFacts(rows, shapes), ...badRowFacts(skipped, examples)]))
  context.print('\nWith --model <folder>: lengths in tokens, truncation, and what is learned.')
}

function documentOf({ files, report, lengths, maxSeqLength, truncatedShare, lostShare, packing, example }: DatasetDescription): object {
  return {
    files,
    rows: report.rows,
    shapes: report.shapes,
    skipped_bad_rows: report.skippedBadRows,
    bad_row_examples: report.badRowExamples,
    rows_without_labels: report.rowsWithoutLabels,
    tokens: report.tokens,
    supervised_tokens: report.supervisedTokens,
    lengths,
    max_seq_length: maxSeqLength,
    truncated_rows: report.truncatedRows,
    truncated_share: truncatedShare,
    lost_supervised_share: lostShare,
    packing: { windows: packing.windows, fill_share: packing.fill, rows_per_window: packing.rowsPerWindow },
    warnings: report.warnings,
    example,
  }
}

type Facts = [string, string][]

function textOf(description: DatasetDescription, colors: boolean): string {
  const { files, report, lengths, maxSeqLength, truncatedShare, lostShare, packing, example } = description
  const learned = report.tokens === 0 ? 0 : (100 * report.supervisedTokens) / report.tokens
  const table = facts([
    ...fileFacts(files),
    ...rowFacts(report.rows, report.shapes),
    ...badRowFacts(report.skippedBadRows, report.badRowExamples),
    ['tokens', `${formatCount(report.tokens)}, ${learned.toFixed(1)} % with loss`],
    ['lengths', `mean ${lengths.mean.toFixed(1)}, median ${lengths.p50}, 90 % ${lengths.p90}, 95 % ${lengths.p95}, 99 % ${lengths.p99}, longest ${lengths.max}`],
    ['truncated', `${(100 * truncatedShare).toFixed(2)} % of the rows at ${maxSeqLength} tokens, ${(100 * lostShare).toFixed(2)} % of the tokens with loss`],
    ['packed', `${formatCount(packing.windows)} windows of ${maxSeqLength} tokens with --packing, ${(100 * packing.fill).toFixed(1)} % full, ${packing.rowsPerWindow.toFixed(1)} rows each`],
    ...(report.rowsWithoutLabels > 0 ? ([['no loss', `${report.rowsWithoutLabels} rows`]] satisfies Facts) : []),
    ...report.warnings.map((warning): [string, string] => ['warning', warning]),
  ])
  return example === null ? table : `${table}\n\n${exampleText(example, colors)}`
}

function fileFacts(files: readonly { path: string; bytes: number }[]): Facts {
  const [first] = files
  if (files.length === 1 && first !== undefined) return [['file', `${first.path}, ${formatBytes(first.bytes)}`]]
  return [['files', `${files.length}, ${formatBytes(files.reduce((sum, file) => sum + file.bytes, 0))}`]]
}

function rowFacts(rows: number, shapes: Readonly<Record<string, number>>): Facts {
  const list = Object.entries(shapes).map(([shape, count]) => `${formatCount(count)} ${shape}`)
  return [['rows', `${formatCount(rows)}: ${list.join(', ')}`]]
}

function badRowFacts(skipped: number, examples: readonly string[]): Facts {
  return skipped === 0 ? [] : [['bad rows', `${skipped}; the first: ${examples[0] ?? ''}`]]
}

/** On a terminal in colour; elsewhere what is learned stands between marks. */
function exampleText({ place, shape, tokens, parts }: NonNullable<DatasetDescription['example']>, colors: boolean): string {
  const legend = colors ? `${paint('learned', true)}, ${paint('not learned', false)}` : '⟦learned⟧, the rest is not'
  const text = parts.map((part) => (colors ? paint(part.text, part.loss) : marked(part))).join('')
  return `${place}, ${shape}, ${tokens} tokens (${legend}):\n${text}`
}

function marked({ text, loss }: ExamplePart): string {
  return loss ? `⟦${text}⟧` : text
}

/** Green and dim. Escape characters of the data itself must not reach the terminal. */
function paint(text: string, loss: boolean): string {
  const safe = text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '�')
  return loss ? `\u001b[32m${safe}\u001b[39m` : `\u001b[2m${safe}\u001b[22m`
}
