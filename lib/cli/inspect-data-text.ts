// `inspect data` for people: facts, a histogram, the longest rows, rows with what is learned, findings. Nothing of the data
// reaches the terminal as a control character.
import { partsOf, type DatasetAnalysis, type ExamplePart, type FilterReport, type HistogramBin, type LintReport, type PreviewRow, type PreviewToken } from '../data/index.js'
import { printable, printableLines } from '../utils/printable.js'
import { formatBytes, formatCount } from '../utils/terminal.js'
import { facts } from './inspect-model.js'

export interface TextOptions {
  example: number
  preview: number
  color: boolean
  /** Say what a tokenizer would add. */
  hint: boolean
}

const barWidth = 40
const shownFindings = 5

export function textOf(analysis: DatasetAnalysis, { example, preview, color, hint }: TextOptions): string {
  const lengths = analysis.statistics.tokens ?? analysis.statistics.characters
  const shown = example === 0 ? undefined : analysis.preview[Math.min(example, preview + 1) - 1]
  const unit = analysis.statistics.tokens === null ? 'characters' : 'tokens'
  const parts = [
    facts(factsOf(analysis).map(([name, value]) => [name, printable(value)] as const)),
    histogramText(lengths.histogram, unit, analysis.statistics.tokens === null ? null : analysis.maxSeqLength),
    longestText(analysis.statistics.longest, unit),
    removedText(analysis.filtered),
    ...analysis.preview.slice(0, preview).map((row) => previewText(row, color)),
    shown === undefined || example <= preview ? '' : exampleText(shown, color),
    analysis.lint === null ? '' : lintText(analysis.lint, color),
    hint ? 'With --model <folder>: lengths in tokens, truncation, and what is learned.' : '',
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

type Facts = [string, string][]

/** Of a stream no size is known. */
function fileText({ path, bytes }: DatasetAnalysis['files'][number]): string {
  return path === '-' ? 'standard input' : path === '(rows)' ? path : `${path}, ${formatBytes(bytes)}`
}

export function factsOf({ files, rows, statistics, detection, skippedBadRows, badRowExamples, filtered, tokens, maxSeqLength }: DatasetAnalysis): Facts {
  const { shapes, characters, duplicates, quality } = statistics
  const list = Object.entries(shapes).map(([shape, count]) => `${formatCount(count)} ${shape}`)
  const [file] = files
  return [
    files.length === 1 && file !== undefined ? ['file', fileText(file)] : ['files', `${files.length}, ${formatBytes(files.reduce((sum, { bytes }) => sum + bytes, 0))}`],
    ['rows', `${formatCount(rows)}${list.length === 0 ? '' : `: ${list.join(', ')}`}`],
    ...detection.map((reason): [string, string] => ['columns', reason]),
    ...(skippedBadRows === 0 ? [] : ([['bad rows', `${skippedBadRows}; the first: ${badRowExamples[0] ?? ''}`]] satisfies Facts)),
    ...filtered.map((report): [string, string] => ['filter', filterText(report)]),
    ...(tokens === null || statistics.tokens === null ? [] : tokenFacts(tokens, statistics.tokens, maxSeqLength)),
    ['characters', `${formatCount(characters.total)}, mean ${characters.mean.toFixed(1)}, median ${characters.p50}, longest ${formatCount(characters.max)}`],
    ['duplicates', `${about(duplicates.exact)}${rowsText(duplicates.rows)} (${percent(duplicates.share)}) saying what an earlier one said`],
    ['texts', `${about(quality.exact)}${percent(quality.letterShare)} letters, ${percent(quality.digitShare)} digits; ${quality.emptyRows} empty, ${quality.rowsWithControls} with control characters, ${quality.repetitiveRows} repetitive`],
    ...(tokens?.report.warnings ?? []).map((warning): [string, string] => ['warning', warning]),
  ]
}

function filterText({ filter, removed, examples, needsTokens }: FilterReport): string {
  const first = examples[0] === undefined ? '' : `, the first ${examples[0]}`
  return `${filter}: ${formatCount(removed)} left out${first}${needsTokens ? '; its limits in tokens are not looked at without --model' : ''}`
}

/** What filters left out, where that was asked for. */
function removedText(filtered: readonly FilterReport[]): string {
  const blocks = filtered.flatMap(({ filter, removed, excerpts = [] }) => {
    const rows = excerpts.map(({ place, reason, text }) => `${printable(`${place}: ${reason}`)}\n    ${printable(text)}`)
    return rows.length === 0 ? [] : [`left out by ${filter}, ${rows.length} of ${formatCount(removed)}:\n${rows.join('\n')}`]
  })
  return blocks.join('\n\n')
}

function tokenFacts({ report, truncatedShare, lostShare, packing }: NonNullable<DatasetAnalysis['tokens']>, lengths: NonNullable<DatasetAnalysis['statistics']['tokens']>, maxSeqLength: number): Facts {
  const learned = report.tokens === 0 ? 0 : report.supervisedTokens / report.tokens
  return [
    ['tokens', `${formatCount(report.tokens)}, ${percent(learned)} with loss`],
    ['lengths', `mean ${lengths.mean.toFixed(1)}, median ${lengths.p50}, 90 % ${lengths.p90}, 95 % ${lengths.p95}, 99 % ${lengths.p99}, longest ${lengths.max}`],
    ['truncated', `${(100 * truncatedShare).toFixed(2)} % of the rows at ${maxSeqLength} tokens, ${(100 * lostShare).toFixed(2)} % of the tokens with loss`],
    ['packed', `${about(packing.exact)}${formatCount(packing.windows)} windows of ${maxSeqLength} tokens with --packing, ${percent(packing.fill)} full, ${packing.rowsPerWindow.toFixed(1)} rows each`],
    ...(report.rowsWithoutLabels > 0 ? ([['no loss', rowsText(report.rowsWithoutLabels)]] satisfies Facts) : []),
  ]
}

function histogramText(bins: readonly HistogramBin[], unit: string, cutAt: number | null): string {
  if (bins.length === 0) return ''
  const most = Math.max(...bins.map(({ rows }) => rows))
  const names = bins.map(({ from, to }) => (from === to ? `${from}` : `${from} – ${to}`))
  const width = Math.max(...names.map((name) => name.length))
  const lines = bins.map(({ from, to, rows }, i) => {
    const cut = cutAt !== null && from <= cutAt && cutAt < to ? `  ← cut at ${cutAt}` : ''
    const bar = '█'.repeat(Math.round((barWidth * rows) / most)) || (rows > 0 ? '▏' : '')
    return `${(names[i] as string).padStart(width)}  ${bar}${bar === '' ? '' : ' '}${formatCount(rows)}${cut}`
  })
  return [`rows by ${unit}`, ...lines].join('\n')
}

function longestText(longest: DatasetAnalysis['statistics']['longest'], unit: string): string {
  if (longest.length === 0) return ''
  const lines = longest.map(({ place, tokens, characters }) => `${formatCount(tokens ?? characters).padStart(10)}  ${printable(place)}`)
  return [`the longest rows, in ${unit}`, ...lines].join('\n')
}

const legend = {
  color: (parts: readonly string[]) => parts.join(', '),
  plain: '⟦learned⟧, ⟨special token⟩, the rest is not learned',
}

/** Each token where it stands: learned ones green, special ones inverse; a line end is shown, and breaks the line. */
function previewText({ place, shape, tokens }: PreviewRow, color: boolean): string {
  const keys = color ? legend.color([style('learned', { learned: true }), style('not learned', { learned: false }), style('special', { learned: false, special: true })]) : legend.plain
  const text = runsOf(tokens).map((run, i, runs) => {
    if (color) return style(visible(run), run)
    const piece = run.special ? `⟨${visible(run)}⟩` : visible(run)
    return `${run.learned && !runs[i - 1]?.learned ? '⟦' : ''}${piece}${run.learned && !runs[i + 1]?.learned ? '⟧' : ''}`
  }).join('')
  return `${printable(place)}, ${shape}, ${tokens.length} tokens (${keys}):\n${text}`
}

type Run = Pick<PreviewToken, 'text' | 'learned' | 'special'>

/** Tokens of one look together; special ones stay apart. */
function runsOf(tokens: readonly PreviewToken[]): Run[] {
  const runs: Run[] = []
  for (const { text, learned, special } of tokens) {
    const last = runs[runs.length - 1]
    if (last !== undefined && !special && !last.special && last.learned === learned) last.text += text
    else runs.push({ text, learned, special })
  }
  return runs
}

function visible({ text }: Run): string {
  return printableLines(text).replaceAll('\n', '↵\n')
}

function style(text: string, { learned, special = false }: { learned: boolean; special?: boolean }): string {
  const inner = special ? `\u001b[7m${text}\u001b[27m` : text
  return learned ? `\u001b[32m${inner}\u001b[39m` : `\u001b[2m${inner}\u001b[22m`
}

/** On a terminal in colour; elsewhere what is learned stands between marks. */
function exampleText({ place, shape, tokens }: PreviewRow, color: boolean): string {
  const keys = color ? legend.color([style('learned', { learned: true }), style('not learned', { learned: false })]) : '⟦learned⟧, the rest is not'
  const text = partsOf(tokens).map((part) => (color ? style(printableLines(part.text), { learned: part.loss }) : marked(part))).join('')
  return `${printable(place)}, ${shape}, ${tokens.length} tokens (${keys}):\n${text}`
}

function marked({ text, loss }: ExamplePart): string {
  return loss ? `⟦${printableLines(text)}⟧` : printableLines(text)
}

function lintText({ errors, warnings, rules, notRun }: LintReport, color: boolean): string {
  const faults = rules.filter((rule) => rule.errors + rule.warnings > 0)
  const lines = faults.flatMap(({ rule, describe, errors: serious, warnings: others, findings }) => {
    const mark = serious > 0 ? paint('error', 31, color) : paint('warning', 33, color)
    const shown = findings.slice(0, shownFindings).map(({ file, line, message }) => `  ${file === null ? 'all rows' : printable(`${file}:${line}`)}: ${printable(message)}`)
    const more = serious + others - shown.length
    return [`${mark} ${rule}: ${describe} (${formatCount(serious + others)})`, ...shown, ...(more > 0 ? [`  and ${formatCount(more)} more`] : []), `  → ${findings[0]?.remedy ?? ''}`]
  })
  const summary = errors + warnings === 0 ? 'lint: nothing found' : `lint: ${errors} error${errors === 1 ? '' : 's'}, ${warnings} warning${warnings === 1 ? '' : 's'}`
  return [...lines, `${summary}${notRun.length === 0 ? '' : `; not looked for without --model: ${notRun.join(', ')}`}`].join('\n')
}

function paint(text: string, code: number, color: boolean): string {
  return color ? `\u001b[${code}m${text}\u001b[39m` : text
}

function rowsText(count: number): string {
  return `${formatCount(count)} row${count === 1 ? '' : 's'}`
}

function about(exact: boolean): string {
  return exact ? '' : 'about '
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
