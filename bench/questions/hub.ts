// The first row of a data set of the hub that is one large Parquet file, from a server on this machine: seconds, and the bytes that
// were asked for. Python's side is datasets with streaming=True, against the same server.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { startHub, type HubServer } from '../../test/unit/support/hub-server.js'
import { childCommand, jsonLines, referenceCommand, type Command } from '../programs.js'
import type { Question } from '../question.js'
import { figure } from '../statistics.js'
import { markdownTable } from '../table.js'
import { textFile } from '../text-file.js'

const MEGABYTES = { quick: 10, all: 60, full: 60 } as const
const name = 'org/rows'

interface Side { seconds: number; requests: number; characters: number }

export const hub: Question = {
  name: 'hub',
  asks: 'seconds to the first row of a data set of the hub, against datasets with streaming=True',
  async ask(settings, say) {
    const { python } = settings
    if (python === null) return { result: null, table: 'left out: the Parquet file is written by Python.' }
    const parquet = path.join(settings.cache, `text-${MEGABYTES[settings.depth]}.parquet`)
    if (!fs.existsSync(parquet)) await jsonLines(referenceCommand(python, ['parquet', '--data', textFile(settings.cache, MEGABYTES[settings.depth]), '--output', parquet]))
    const server = await startHub()
    try {
      server.add('datasets', name, { 'README.md': '# Rows', 'data/train-00000-of-00001.parquet': fs.readFileSync(parquet) })
      const ours: Side[] = []
      const theirs: Side[] = []
      for (let run = 0; run < (settings.depth === 'quick' ? 1 : settings.runs); run++) {
        ours.push(await firstRow(server, childCommand('hub-first-row', ['--data', name])))
        theirs.push(await firstRow(server, referenceCommand(python, ['hub-first-row', '--data', name])))
      }
      const line = (program: string, sides: readonly Side[]): string[] => [program, seconds(sides), String(sides[0]?.requests)]
      say(`  ft-native ${seconds(ours)} s`)
      return {
        result: { megabytes: fs.statSync(parquet).size / 1e6, native: ours, python: theirs },
        table: [markdownTable(['program', 'seconds to the first row', 'requests'], [line('ft-native', ours), line('datasets', theirs)]), '', `One Parquet file of ${(fs.statSync(parquet).size / 1e6).toFixed(0)} MB; imports are not counted on either side.`].join('\n'),
        ...(ours[0]?.characters === theirs[0]?.characters ? {} : { objection: 'the first rows differ' }),
      }
    } finally {
      await server.close()
    }
  },
}

const seconds = (sides: readonly Side[]): string => figure(sides.map((side) => side.seconds)).median.toFixed(2)

/** With an empty cache. */
async function firstRow(server: HubServer, command: Command): Promise<Side> {
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'ft-bench-hub-'))
  server.seen.length = 0
  try {
    const env = { ...command.env, HF_ENDPOINT: server.endpoint, HF_HOME: home, HF_HUB_OFFLINE: '', HF_TOKEN: '' }
    const end = (await jsonLines({ ...command, env })).find((event) => event.event === 'end')
    if (end === undefined) throw new Error('hub: no end event')
    return { seconds: Number(end.seconds), requests: server.seen.length, characters: Number(end.characters) }
  } finally {
    fs.rmSync(home, { recursive: true, force: true })
  }
}
