// The questions, in the order in which they are asked.
import type { Question } from '../question.js'
import { data } from './data.js'
import { generation } from './generation.js'
import { growth } from './growth.js'
import { hub } from './hub.js'
import { memory } from './memory.js'
import { inspecting } from './inspecting.js'
import { qlora } from './qlora.js'
import { shortRows } from './short-rows.js'
import { steady } from './steady.js'
import { tokenizing } from './tokenizing.js'
import { training } from './training.js'

export const QUESTIONS: readonly Question[] = [training, shortRows, growth, generation, qlora, tokenizing, inspecting, data, hub, memory, steady]
