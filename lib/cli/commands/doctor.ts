// ft-native doctor: what this machine has and lacks. A check that training needs and that fails ends with
// exit code 1; one that only some uses need is a warning. Every fault names its remedy.
import type { Command } from '../command.js'
import type { CheckResult } from '../doctor-checks.js'

const marks = { ok: ['✓', '32'], warning: ['!', '33'], failed: ['✗', '31'] } as const

export const doctor = {
  flags: () => ({}),
  examples: ['ft-native doctor', 'ft-native doctor --json'],
  async run(_input, context) {
    const { runChecks } = await import('../doctor-checks.js')
    const checks = await runChecks()
    const healthy = checks.every((check) => check.status !== 'failed')
    context.document({ healthy, checks })
    for (const check of checks) context.print(lineOf(check, context.color))
    context.print(healthy ? '\nReady to train.' : '\nSomething that training needs is missing: see ✗ above.')
    return healthy ? 0 : 1
  },
} satisfies Command

function lineOf(check: CheckResult, colors: boolean): string {
  const [mark, color] = marks[check.status]
  const painted = colors ? `\u001b[${color}m${mark}\u001b[39m` : mark
  const remedy = check.remedy === undefined ? '' : `\n    ${check.remedy}`
  return `${painted} ${check.name.padEnd(16)} ${check.detail}${remedy}`
}
