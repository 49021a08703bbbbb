// The table of commands. To add one: its file beside this one, exporting an object that satisfies Command
// (../command.ts shows how), and a row here. `load` imports the file when the command is used.
import type { CommandRow } from '../command.js'

export const commands: readonly CommandRow[] = [
  { name: 'config', usage: '<validate|show|schema> [config.yaml]', describe: 'Check a configuration, show where every value comes from, or print the JSON Schema.', load: async () => (await import('./config.js')).config },
  { name: 'doctor', usage: '', describe: 'Check this machine: Node, CPU, engine, devices, disk.', load: async () => (await import('./doctor.js')).doctor },
]
