// What the addon and this machine offer, for `ft-native doctor`.
import { native, type NativeBuildInfo } from '../native/binding.js'

export interface Diagnostics extends NativeBuildInfo {
  modelTypes: string[]
  memory: { rssBytes: number; peakRssBytes: number; availableBytes: number }
}

/** Errors: FT_ADDON_MISSING, naming what cannot be loaded. */
export function diagnostics(): Diagnostics {
  const addon = native()
  return { ...addon.buildInfo(), modelTypes: addon.supportedModelTypes(), memory: { ...addon.memory(), availableBytes: addon.memoryAvailable() } }
}
