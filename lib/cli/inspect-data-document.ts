// The JSON document of `inspect data`: snake_case, one object.
import { partsOf, type DatasetAnalysis, type LintReport, type PreviewRow } from '../data/index.js'

export function documentOf({ files, statistics, tokens, preview, lint, ...analysis }: DatasetAnalysis, { example, preview: previewed }: { example: number; preview: number }): object {
  const { shapes, characters, duplicates, quality, longest } = statistics
  const shown = example === 0 ? undefined : preview[Math.min(example, previewed + 1) - 1]
  return {
    files,
    rows: analysis.rows,
    shapes,
    detection: analysis.detection,
    skipped_bad_rows: analysis.skippedBadRows,
    bad_row_examples: analysis.badRowExamples,
    filtered: analysis.filtered.map(({ needsTokens, ...filter }) => ({ ...filter, ...(needsTokens ? { needs_tokens: true } : {}) })),
    characters,
    duplicates,
    quality: {
      empty_rows: quality.emptyRows, rows_with_controls: quality.rowsWithControls, repetitive_rows: quality.repetitiveRows,
      letter_share: quality.letterShare, digit_share: quality.digitShare, space_share: quality.spaceShare, exact: quality.exact,
    },
    longest,
    ...(tokens === null || statistics.tokens === null ? {} : tokenFields(analysis.maxSeqLength, tokens, statistics.tokens)),
    ...(previewed === 0 ? {} : { preview: preview.slice(0, previewed).map(rowOf) }),
    ...(tokens === null ? {} : { example: shown === undefined ? null : { place: shown.place, shape: shown.shape, tokens: shown.tokens.length, parts: partsOf(shown.tokens) } }),
    ...(lint === null ? {} : { lint: lintOf(lint) }),
  }
}

function tokenFields(maxSeqLength: number, { report, truncatedShare, lostShare, packing }: NonNullable<DatasetAnalysis['tokens']>, lengths: NonNullable<DatasetAnalysis['statistics']['tokens']>): object {
  const { histogram, supervised, supervisedShare, total, ...summary } = lengths
  return {
    rows_without_labels: report.rowsWithoutLabels,
    tokens: report.tokens,
    supervised_tokens: report.supervisedTokens,
    tokens_before_truncation: total,
    supervised_tokens_before_truncation: supervised,
    supervised_share: supervisedShare,
    lengths: summary,
    histogram,
    max_seq_length: maxSeqLength,
    truncated_rows: report.truncatedRows,
    dropped_rows: report.droppedRows,
    split_rows: report.splitRows,
    truncated_share: truncatedShare,
    lost_supervised_share: lostShare,
    packing: { windows: packing.windows, fill_share: packing.fill, rows_per_window: packing.rowsPerWindow, exact: packing.exact },
    warnings: report.warnings,
  }
}

function rowOf({ place, shape, inputIds, labels, tokens }: PreviewRow): object {
  return { place, shape, input_ids: [...inputIds], labels: [...labels], tokens }
}

function lintOf({ rows, errors, warnings, rules, notRun }: LintReport): object {
  return {
    rows, errors, warnings, not_run: notRun,
    rules: rules.map(({ rule, describe, errors: serious, warnings: others }) => ({ rule, describe, errors: serious, warnings: others })),
    findings: rules.flatMap(({ findings }) => findings),
  }
}
