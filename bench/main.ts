// npm run bench [-- --quick] — ft-native next to the Python programs it replaces, on the same machine, model and rows.
// Programs take turns; figures are medians over runs with their spread; a speed is quoted only when both did the same
// work. Prints tables on stderr and one JSON document on stdout.
import fs from 'node:fs'
import { describeMachine } from './machine.js'
import { jsonLines, referenceCommand } from './programs.js'
import { QUESTIONS } from './questions/index.js'
import { help, readSettings } from './settings.js'

async function main(): Promise<void> {
  const settings = readSettings(QUESTIONS)
  if (settings === null) {
    process.stdout.write(help(QUESTIONS))
    return
  }
  const say = (text: string) => { process.stderr.write(`${text}\n`) }
  const machine = describeMachine()
  say(`${machine.cpu}, ${machine.cores} cores (${machine.instructionSets.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, load ${machine.loadAverage}`)
  fs.mkdirSync(settings.cache, { recursive: true })
  const reference = settings.python === null ? null : (await jsonLines(referenceCommand(settings.python, ['versions'])))[0]
  const answers: Record<string, unknown> = {}
  for (const { name, ask } of settings.questions) {
    const start = performance.now()
    say(`\n${name}`)
    const { result, table, objection } = await ask(settings, say)
    const seconds = (performance.now() - start) / 1000
    say(`\n${table}\n\n(${name} took ${seconds.toFixed(0)} s)`)
    answers[name] = { seconds, objection, result }
    if (objection === undefined) continue
    say(`${name}: ${objection}`)
    process.exitCode = 1
  }
  const { questions, ...asked } = settings
  process.stdout.write(`${JSON.stringify({ machine, reference, settings: { ...asked, shapes: asked.shapes.map(({ name }) => name), questions: questions.map(({ name }) => name) }, answers }, null, 2)}\n`)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
