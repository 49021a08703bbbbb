export interface CodeRow { code: string; errorClass: string; exitCode: number }
export const tablePath: string
export const outputPath: string
export function parseTable(text: string): CodeRow[]
export function render(rows: readonly CodeRow[]): string
