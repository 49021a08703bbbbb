// Errors: the classes, their codes, and the functions every layer makes, converts and shows them with.
export * from './classes.js'
export { errorCodes, type ErrorCode } from './codes.generated.js'
export { describeError, errorEvent, exitCodeOf, type ErrorEvent } from './describe.js'
export { fail, fromNative, isErrorCode, makeError, toFineTuneError } from './make.js'
export { didYouMean, editDistance, suggest } from './suggest.js'
