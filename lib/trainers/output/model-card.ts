// README.md of a result: what it is made from, how, how well, and how to load it. YAML front matter as model hubs read it.
import path from 'node:path'
import { splitRevision } from '../../core/hub-name.js'
import { redactNames } from '../../core/redact.js'
import { dataPaths } from '../../data/index.js'
import type { PreparedRun } from '../prepare.js'
import { trainLossOf } from '../progress.js'
import { packageVersion } from '../version.js'

export function modelCard(run: PreparedRun): string {
  const adapter = run.recipe.method.produces === 'adapter'
  const sections = [
    frontMatter(run, adapter),
    `# ${path.basename(run.output)}`,
    adapter
      ? `A LoRA adapter for \`${run.source.name}\`, trained with [ft-native](https://www.npmjs.com/package/ft-native).`
      : `\`${run.source.name}\` with all weights fine-tuned, trained with [ft-native](https://www.npmjs.com/package/ft-native).`,
    `## Training\n\n${table(trainingFacts(run))}`,
    `## Results\n\n${table(results(run))}`,
    `## How to load it\n\n${adapter ? adapterUse(run) : modelUse()}`,
    `## Versions\n\n${table({ 'ft-native': packageVersion(), Node: process.version, ...run.environment })}`,
  ]
  return redactNames(`${sections.join('\n\n')}\n`)
}

function frontMatter(run: PreparedRun, adapter: boolean): string {
  const lines = [
    `base_model: ${JSON.stringify(splitRevision(run.source.name).name)}`,
    `library_name: ${adapter ? 'peft' : 'transformers'}`,
    'pipeline_tag: text-generation',
    'tags:',
    '- ft-native',
    `- ${run.recipe.name}`,
    '- text-generation',
  ]
  return `---\n${lines.join('\n')}\n---`
}

function trainingFacts(run: PreparedRun): Record<string, unknown> {
  const { training, dataset, tokenization } = run.config
  return {
    data: dataPaths(dataset).join(', '),
    'training rows': run.data.train.length,
    'validation rows': run.data.validation.length,
    method: run.recipe.name,
    ...run.method.summary,
    'trainable parameters': run.optimizer.numTrainableParameters,
    steps: `${run.progress.globalStep} of ${run.plan.maxSteps}`,
    batch_size: training.batchSize,
    gradient_accumulation_steps: training.gradientAccumulationSteps,
    max_seq_length: tokenization.maxSeqLength,
    packing: tokenization.packing,
    learning_rate: training.learningRate,
    scheduler: training.scheduler,
    warmup: training.warmupSteps === undefined ? `ratio ${training.warmupRatio}` : `${training.warmupSteps} steps`,
    optimizer: `${training.optimizer} (${training.adamBeta1}, ${training.adamBeta2}, ${training.adamEpsilon})`,
    weight_decay: training.weightDecay,
    max_grad_norm: training.maxGradNorm,
    ...(training.loadBestModelAtEnd ? { load_best_model_at_end: true } : {}),
    dtype: run.source.dtype,
    seed: training.seed,
  }
}

function results(run: PreparedRun): Record<string, unknown> {
  const { progress } = run
  return {
    'training loss (mean of all steps)': trainLossOf(progress)?.toFixed(4) ?? 'none yet',
    ...(progress.lastEvalLoss === null ? {} : { 'validation loss': `${progress.lastEvalLoss.toFixed(4)} (after step ${progress.lastEvalStep})` }),
    ...(progress.bestMetric === null ? {} : { 'best validation loss': `${progress.bestMetric.toFixed(4)} (after step ${progress.bestGlobalStep})` }),
    'tokens seen': progress.tokens,
    'training time': `${progress.trainSeconds.toFixed(1)} s`,
    ...(progress.skippedSteps > 0 ? { 'steps not applied': progress.skippedSteps } : {}),
  }
}

function table(facts: Record<string, unknown>): string {
  const rows = Object.entries(facts).map(([key, value]) => `| ${cell(key)} | ${cell(value)} |`)
  return ['| | |', '|---|---|', ...rows].join('\n')
}

function cell(value: unknown): string {
  return String(value).replaceAll('|', '\\|').replaceAll(/\s+/g, ' ')
}

/** A model of the hub at a revision has two arguments in Python. */
function pretrained(name: string): string {
  const { name: base, revision } = splitRevision(name)
  return revision === null ? JSON.stringify(base) : `${JSON.stringify(base)}, revision=${JSON.stringify(revision)}`
}

function adapterUse(run: PreparedRun): string {
  return [
    'With transformers and PEFT:',
    `\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained(${pretrained(run.source.name)})
model = PeftModel.from_pretrained(base, "path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
\`\`\``,
    'With ft-native:',
    `\`\`\`bash
npx ft-native generate --model ${JSON.stringify(run.source.name)} --adapter path/to/this/folder --prompt "…"
\`\`\``,
  ].join('\n\n')
}

function modelUse(): string {
  return [
    'With transformers:',
    `\`\`\`python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")
tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")
\`\`\``,
    'With ft-native:',
    `\`\`\`bash
npx ft-native generate --model path/to/this/folder --prompt "…"
\`\`\``,
  ].join('\n\n')
}
