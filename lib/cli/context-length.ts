// How long a row may be, by config.json. Scaled rotary embeddings reach beyond max_position_embeddings, which often
// still says what the model was first trained with.
import { isRecord } from '../models/json-file.js'

/** rope_theta and rope_scaling stand at the top of config.json, or together in rope_parameters (transformers 5). */
export function ropeOf(config: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const parameters = isRecord(config.rope_parameters) ? config.rope_parameters : {}
  const scaling = isRecord(config.rope_scaling) ? config.rope_scaling : {}
  return { ...('rope_theta' in config ? { rope_theta: config.rope_theta } : {}), ...scaling, ...parameters }
}

/** In tokens: max_position_embeddings, or what a scaling makes of the positions it begins with, where that is more. */
export function contextLengthOf(maxPositionEmbeddings: number, config: Readonly<Record<string, unknown>>): number {
  const rope = ropeOf(config)
  const type = rope.rope_type ?? rope.type ?? 'default'
  const { factor } = rope
  if (type === 'default' || typeof factor !== 'number' || !(factor > 1)) return maxPositionEmbeddings
  const original = config.original_max_position_embeddings ?? rope.original_max_position_embeddings
  const from = typeof original === 'number' && type !== 'dynamic' ? original : maxPositionEmbeddings
  return Math.max(maxPositionEmbeddings, Math.floor(from * factor))
}
