// The table of row filters. To add one: a file beside this one and a line here (filter.ts says what else).
import { names, Registry } from '../../core/registry.js'
import { controlCharactersFilter } from './control-characters.js'
import { emptyFilter } from './empty.js'
import { exactDuplicatesFilter } from './exact-duplicates.js'
import { expressionFilter } from './expression.js'
import type { FilterKind } from './filter.js'
import { lengthFilter } from './length.js'
import { nearDuplicatesFilter } from './near-duplicates.js'
import { repetitionFilter } from './repetition.js'
import { validationOverlapFilter } from './validation-overlap.js'

export { FilterRow, type FilterKind, type RowFilter, type Side } from './filter.js'

export const filterKinds = new Registry<FilterKind>(names.filters)

for (const kind of [emptyFilter, lengthFilter, repetitionFilter, controlCharactersFilter, exactDuplicatesFilter, nearDuplicatesFilter, validationOverlapFilter, expressionFilter]) {
  filterKinds.register(kind.name, kind)
}
