// The table of commands. To add one: its file beside this one, exporting an object that satisfies Command
// (../command.ts shows how), and a row here. `load` imports the file when the command is used.
import type { CommandRow } from '../command.js'

export const commands: readonly CommandRow[] = [
  { name: 'train', usage: '[config.yaml]', describe: 'Fine-tune a model on your rows: a LoRA adapter, or all weights.', load: async () => (await import('./train.js')).train },
  { name: 'generate', usage: '', describe: 'Continue prompts, or answer them through the chat template.', load: async () => (await import('./generate.js')).generate },
  { name: 'chat', usage: '', describe: 'Talk to a model.', load: async () => (await import('./chat.js')).chat },
  { name: 'inspect', usage: '[model|adapter|data] <path>', describe: 'What a model, an adapter or a data file holds.', load: async () => (await import('./inspect.js')).inspect },
  { name: 'benchmark', usage: '[config.yaml]', describe: 'How fast this machine trains a model, where the time goes, and the largest batch that fits.', load: async () => (await import('./benchmark.js')).benchmark },
  { name: 'merge', usage: '', describe: 'Fold an adapter into its base model.', load: async () => (await import('./merge.js')).merge },
  { name: 'export', usage: '', describe: 'Write a model in another form: in 4 or 8 bits for transformers and bitsandbytes, or plain again.', load: async () => (await import('./export.js')).exportCommand },
  { name: 'demo', usage: '', describe: 'Fine-tune the small model that comes with the package, and compare before and after.', load: async () => (await import('./demo.js')).demo },
  { name: 'config', usage: '<validate|show|schema> [config.yaml]', describe: 'Check a configuration, show where every value comes from, or print the JSON Schema.', load: async () => (await import('./config.js')).config },
  { name: 'doctor', usage: '', describe: 'Check this machine: Node, CPU, engine, devices, disk.', load: async () => (await import('./doctor.js')).doctor },
]
