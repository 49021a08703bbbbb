// The clock and the locale of a process held still. Runs in the worker: strftime_now of the Jinja library asks both, and a template
// must write the same on every day and machine.

export function freezeClock(now: number): void {
  const RealDate = Date
  const RealFormat = Intl.DateTimeFormat
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args: []) => (args.length === 0 ? new target(now) : new target(...args)),
    get: (target, name) => (name === 'now' ? () => now : (Reflect.get(target, name) as unknown)),
  })
  Intl.DateTimeFormat = new Proxy(RealFormat, {
    construct: (target, [locale, options]: [string | undefined, Intl.DateTimeFormatOptions]) => new target(locale ?? 'en-US', options),
  })
}
