export function checkOrWrite(file: string, wanted: string, check?: boolean): void
