// Mocha reporter: prints like "spec", and writes {passed, failed, skipped, failures} to FT_TEST_SUMMARY for
// scripts/test.mjs, which adds the runners up.
const { writeFileSync } = require('node:fs')
const Mocha = require('mocha')

class SummaryReporter extends Mocha.reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    const skipped = []
    const failures = []
    runner.on('pending', (test) => skipped.push(test.fullTitle()))
    runner.on('fail', (test) => failures.push(test.fullTitle()))
    runner.on('end', () => {
      if (!process.env.FT_TEST_SUMMARY) return
      const passed = runner.stats?.passes ?? 0
      writeFileSync(process.env.FT_TEST_SUMMARY, JSON.stringify({ passed, failed: failures.length, skipped, failures }))
    })
  }
}

module.exports = SummaryReporter
