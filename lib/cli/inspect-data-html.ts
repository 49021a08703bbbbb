// `inspect data --html`: the same as one page that needs nothing else and runs nothing of the data: every text is escaped, and its
// policy allows only its own style and script, by their hashes.
import { createHash } from 'node:crypto'
import type { DatasetAnalysis, FilterReport, HistogramBin, LintReport, PreviewRow } from '../data/index.js'
import { printable, printableLines } from '../utils/printable.js'
import { formatCount } from '../utils/terminal.js'
import { pageScript, pageStyle } from './inspect-data-page.js'
import { factsOf } from './inspect-data-text.js'

export function pageOf(target: string, model: string | undefined, analysis: DatasetAnalysis): string {
  const { statistics, preview, lint, maxSeqLength, filtered } = analysis
  const unit = statistics.tokens === null ? 'characters' : 'tokens'
  const histogram = (statistics.tokens ?? statistics.characters).histogram
  const facts = [...(model === undefined ? [] : [['model', model] as const]), ...factsOf(analysis)]
  const title = `Data: ${target}`
  const policy = `default-src 'none'; style-src ${hashOf(pageStyle)}; script-src ${hashOf(pageScript)}; base-uri 'none'; form-action 'none'`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${escape(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)}</title>
<style>${pageStyle}</style>
</head>
<body>
<header><h1>${escape(title)}</h1><button id="theme" type="button">light / dark</button></header>
<main>
<section><table class="facts">${facts.map(([name, value]) => `<tr${name === 'warning' ? ' class="warning"' : ''}><th scope="row">${escape(name)}</th><td>${escape(value)}</td></tr>`).join('')}</table></section>
${lint === null ? '' : lintSection(lint)}
${histogramSection(histogram, unit, statistics.tokens === null ? null : maxSeqLength)}
<section><h2>The longest rows</h2><ol class="longest">${statistics.longest.map(({ place, tokens, characters }) => `<li><code>${escape(place)}</code> ${formatCount(tokens ?? characters)} ${unit}</li>`).join('')}</ol></section>
${removedSection(filtered)}
${preview.length === 0 ? '' : previewSection(preview)}
</main>
<script>${pageScript}</script>
</body>
</html>
`
}

/** What filters left out, where that was asked for. */
function removedSection(filtered: readonly FilterReport[]): string {
  const items = filtered.flatMap(({ filter, excerpts = [] }) => excerpts.map(({ place, reason, text }) => `<li><code>${escape(place)}</code> ${escape(`${filter}: ${reason}`)}<br>${escape(text)}</li>`))
  return items.length === 0 ? '' : `<section><h2>Left out by filters</h2><ul>${items.join('')}</ul></section>`
}

/** One block a rule, the serious ones open. */
function lintSection({ errors, warnings, rules, notRun }: LintReport): string {
  const blocks = rules.filter((rule) => rule.errors + rule.warnings > 0).map(({ rule, describe, errors: serious, warnings: others, findings }) => {
    const severity = serious > 0 ? 'error' : 'warning'
    const items = findings.map(({ file, line, message }) => `<li>${file === null ? 'all rows' : `<code>${escape(`${file}:${line}`)}</code>`} ${escape(message)}</li>`)
    const left = serious + others - findings.length
    return `<details${serious > 0 ? ' open' : ''}><summary><strong class="${severity}">${severity}</strong> ${escape(rule)}: ${escape(describe)} (${formatCount(serious + others)})</summary>
<ul>${items.join('')}${left > 0 ? `<li>and ${formatCount(left)} more</li>` : ''}</ul><p>${escape(findings[0]?.remedy ?? '')}</p></details>`
  })
  const note = notRun.length === 0 ? '' : `<p>Not looked for without a model: ${escape(notRun.join(', '))}.</p>`
  return `<section><h2>Lint: ${formatCount(errors)} errors, ${formatCount(warnings)} warnings</h2>${blocks.join('\n')}${note}</section>`
}

const barLength = 400
const barHeight = 18

/** As SVG: widths are attributes there, and no style is needed that the policy forbids. */
function histogramSection(bins: readonly HistogramBin[], unit: string, cutAt: number | null): string {
  if (bins.length === 0) return ''
  const most = Math.max(...bins.map(({ rows }) => rows))
  const rows = bins.map(({ from, to, rows: count }, i) => {
    const width = Math.max(count > 0 ? 1 : 0, (barLength * count) / most)
    const y = i * barHeight
    const cut = cutAt !== null && to > cutAt
    return `<text x="110" y="${y + 13}" text-anchor="end">${from === to ? from : `${from} – ${to}`}</text><rect x="120" y="${y + 2}" width="${width.toFixed(1)}" height="${barHeight - 4}"${cut ? ' class="cut"' : ''}/><text x="${(126 + width).toFixed(1)}" y="${y + 13}">${formatCount(count)}</text>`
  })
  const note = cutAt === null ? '' : `<p>Rows of more than ${cutAt} tokens (lighter from the bin where that lies) are cut.</p>`
  return `<section><h2>Rows by ${unit}</h2><svg role="img" aria-label="histogram of ${unit}" viewBox="0 0 620 ${bins.length * barHeight}" width="620" height="${bins.length * barHeight}">${rows.join('')}</svg>${note}</section>`
}

function previewSection(rows: readonly PreviewRow[]): string {
  const articles = rows.map(({ place, shape, tokens }) => {
    const spans = tokens.map(({ id, text, learned, special }) => `<span class="t${learned ? ' l' : ''}${special ? ' s' : ''}" title="${id}">${escapeLines(text)}</span>`)
    const learned = tokens.filter((token) => token.learned).length
    return `<article><h3><code>${escape(place)}</code> ${escape(shape)}, ${tokens.length} tokens, ${learned} learned</h3><pre>${spans.join('')}</pre></article>`
  })
  return `<section><h2>Rows as the model gets them</h2>
<p class="tools"><input id="search" type="search" placeholder="search in the rows" aria-label="search in the rows"> <label><input id="borders" type="checkbox"> token borders</label> <span id="count"></span></p>
<p><span class="t l">learned</span> <span class="t">not learned</span> <span class="t s">special token</span></p>
${articles.join('\n')}</section>`
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`
}

function escape(text: string): string {
  return entities(printable(text))
}

function escapeLines(text: string): string {
  return entities(printableLines(text).replaceAll('\n', '↵\n'))
}

const references: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function entities(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => references[character] ?? '')
}
