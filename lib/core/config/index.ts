// Configuration: one table of keys (keys/); files, environment, flags and code merge over its defaults
// into one frozen ResolvedConfig. Paths in a file are relative to the current working directory.
export { ConfigBuilder } from './builder.js'
export { configFlags, defaultText, pickConfigFlags, type FlagSpec } from './flags.js'
export { sections, sectionTitles, type SectionName } from './keys.js'
export { environmentVariable, type Origin } from './layers.js'
export { isExplicit, loadConfig, missingKeys, type LoadedConfig } from './load.js'
export { resolveEntries, type ConfigEntry, type ConfigSources } from './resolve.js'
export type { Kind } from './row.js'
export { configJsonSchema } from './schema.js'
export { readSection } from './section.js'
export { allKeys, type TableKey } from './table.js'
export * from './types.js'
export { configToObject, configToYaml, schemaPath } from './yaml.js'
